"""Training on a GPU: captured steps, the bitwise contract, and agreement with the CPU."""

from typing import Any

import pytest
import torch

from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.engines.cuda_graphs import Replay
from rnnlab.training.engines.torch_engine import TorchEngine
from rnnlab.training.run_state import fresh_state
from tests.support.cells import settings_of
from tests.support.models import all_gate_settings, bptt_config, random_tokens, run_config

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU that torch can use"),
]

_V = 97
_TOKENS = random_tokens(3_000) % _V
_CELLS = ["rnn", "lstm", "gru-reset-before", "gru-reset-after", "gru-reset-only", "gru-update-only", "loop-add"]


def _configs(name: str) -> list[RunConfig]:
    if name == "gated":
        return [run_config(one, batch_size=32) for one in all_gate_settings(2, 32)[::9]]
    settings = settings_of(name, state_size=32, start_state="learned", embedding_size=16)
    training: dict[str, Any] = {"sampling": "random", "optimizer": "adamw", "iterations": 40, "batch_size": 32}
    return [bptt_config(settings, seed=seed, learning_rate=(1e-2, 1e-3)[seed % 2], **training) for seed in range(8)]


def _trained(configs: list[RunConfig], device: str, *, captured: bool = True, block: int = 20) -> list[Member]:
    cohort = Cohort([Member(one, fresh_state(one, _V)) for one in configs], _TOKENS, _V, torch.device(device))
    if not captured:
        _by_torch(cohort).replay = Replay(torch.device(device), can_capture=False)
    for _ in range(2):
        cohort.run_block(block, 1)
    if captured and device != "cpu":
        assert _by_torch(cohort).replay._graphs, "no step was captured"
    return cohort.members()


def _by_torch(cohort: Cohort) -> TorchEngine:
    assert isinstance(cohort._engine, TorchEngine)
    return cohort._engine


def _assert_same(some: list[Member], others: list[Member]) -> None:
    for one, other in zip(some, others, strict=True):
        assert one.state.curve_ema_loss == other.state.curve_ema_loss
        for name, parameter in one.state.parameters.items():
            assert torch.equal(parameter, other.state.parameters[name]), name


@pytest.mark.parametrize("name", ["gated", *_CELLS])
def test_captured_steps_have_the_bits_of_steps_that_are_not(name: str) -> None:
    configs = _configs(name)
    _assert_same(_trained(configs, "cuda:0"), _trained(configs, "cuda:0", captured=False))


@pytest.mark.parametrize("name", ["gated", *_CELLS])
def test_blocks_may_be_cut_anywhere(name: str) -> None:
    configs = _configs(name)
    cohort = Cohort([Member(one, fresh_state(one, _V)) for one in configs], _TOKENS, _V, torch.device("cuda:0"))
    for steps in (1, 9, 2, 17, 11):
        cohort.run_block(steps, 1)
    _assert_same(_trained(configs, "cuda:0"), cohort.members())


@pytest.mark.parametrize("name", ["gated", *_CELLS])
def test_a_run_has_the_same_bits_in_any_cohort(name: str) -> None:
    configs = _configs(name)
    whole = _trained(configs, "cuda:0")
    for chosen in ([0], [3, 1], list(range(len(configs)))[::-1]):
        _assert_same(_trained([configs[m] for m in chosen], "cuda:0"), [whole[m] for m in chosen])


@pytest.mark.parametrize("name", ["gated", *_CELLS])
def test_a_gpu_agrees_with_a_cpu(name: str) -> None:
    configs = _configs(name)
    for one, other in zip(_trained(configs, "cuda:0"), _trained(configs, "cpu"), strict=True):
        assert one.state.ema_loss == pytest.approx(other.state.ema_loss, rel=1e-4)


@pytest.mark.parametrize("name", ["gated", *_CELLS])
def test_tf32_rounds_products_and_keeps_the_contract(name: str) -> None:
    configs = [one.with_settings({"precision": "tf32"}) for one in _configs(name)]
    whole, plain = _trained(configs, "cuda:0"), _trained(_configs(name), "cuda:0")
    _assert_same(_trained(configs[1:3], "cuda:0"), whole[1:3])
    losses, exact = ([member.state.ema_loss for member in members] for members in (whole, plain))
    assert losses != exact
    assert losses == pytest.approx(exact, rel=1e-2)
