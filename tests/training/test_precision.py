"""TF32 is a setting of a run, and applies only to products on a GPU."""

import pytest
import torch

from rnnlab.training.precision import products_in
from tests.support.models import all_gate_settings, run_config

_GPU, _CPU = torch.device("cuda:0"), torch.device("cpu")


def test_products_on_a_gpu_have_the_precision_of_the_setting() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    with products_in("tf32", _GPU):
        assert matmul.fp32_precision == "tf32"
        with products_in("float32", _GPU):
            assert matmul.fp32_precision == "ieee"
        assert matmul.fp32_precision == "tf32"
    assert matmul.fp32_precision == before


def test_it_ends_with_an_exception_too() -> None:
    before = torch.backends.cuda.matmul.fp32_precision
    with pytest.raises(RuntimeError), products_in("tf32", _GPU):
        raise RuntimeError
    assert torch.backends.cuda.matmul.fp32_precision == before


def test_a_cpu_is_left_alone() -> None:
    before = torch.backends.cuda.matmul.fp32_precision
    with products_in("tf32", _CPU):
        assert torch.backends.cuda.matmul.fp32_precision == before


def test_another_precision_is_another_run_of_another_group() -> None:
    model = all_gate_settings(1, 8)[0]
    plain = run_config(model)
    assert "precision" not in plain.canonical_json  # runs from before this setting existed keep their hashes
    assert run_config(model).with_settings({"precision": "float32"}) == plain
    fast = plain.with_settings({"precision": "tf32"})
    assert '"precision":"tf32"' in fast.canonical_json
    assert fast.hash != plain.hash
    assert fast.group_key != plain.group_key
    assert fast.with_settings({"precision": "float32"}).hash == plain.hash
