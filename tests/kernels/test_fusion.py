"""Operations that are fused, and operations that must not be."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from rnnlab.kernels import build
from rnnlab.kernels.fusion import fuse
from rnnlab.kernels.lowering import lower
from rnnlab.kernels.operations import SETTINGS, Code
from rnnlab.kernels.program import NativeProgram
from rnnlab.kernels.tracing import trace
from tests.support.kernels import need_kernels

_M = 3


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _codes(function: Callable[[], object], kept: Sequence[Tensor] = ()) -> list[Code]:
    """The codes of the fused program. Asserts that it gives the same bits as the original one in `kept`."""
    whole = lower(trace(function), _M)
    short = fuse(whole, kept)
    need_kernels()
    results = []
    for operations in (whole, short):
        for operation in whole:  # no program here reads results of an earlier run
            operation.out.tensor.fill_(torch.nan)
        NativeProgram(build.load(), operations, _M)(np.zeros((1, _M), dtype=SETTINGS), 1)
        results.append([tensor.clone() for tensor in kept])
    for one, other in zip(*results, strict=True):
        assert not one.isnan().any()
        assert torch.equal(one, other)
    return [one.code for one in short]


def _product() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return torch.randn(_M, 6, 9), torch.randn(_M, 9, 40), torch.empty(_M, 6, 40), torch.empty(_M, 6, 40)


def test_a_gate_is_one_operation() -> None:
    x, w, q, _ = _product()
    assert _codes(lambda: (torch.bmm(x, w, out=q), torch.sigmoid(q, out=q)), [q]) == [Code.PRODUCT]


def test_tanh_by_way_of_the_logistic_function_is_one_operation() -> None:
    x, w, q, c = _product()
    minus_one = -torch.ones(())

    def function() -> None:
        torch.baddbmm(q, x, w, beta=0, alpha=2, out=q)
        torch.sigmoid(q, out=q)
        torch.add(minus_one, q, alpha=2, out=c)

    assert _codes(function, [c]) == [Code.PRODUCT]
    torch.testing.assert_close(c, torch.tanh(x @ w), rtol=0, atol=1e-5)
    assert _codes(function, [q, c]) == [Code.PRODUCT, Code.AFFINE]


def test_a_copy_to_other_columns_is_no_operation_of_its_own() -> None:
    x, w, q, _ = _product()
    p = torch.zeros(_M, 6, 100)

    def function() -> None:
        torch.bmm(x, w, out=q)
        torch.sigmoid(q, out=q)
        p[..., 30:70].copy_(q)

    assert _codes(function, [p[..., 30:70]]) == [Code.PRODUCT]


def test_without_a_product_it_is_one_operation_too() -> None:
    q, c = torch.randn(_M, 6, 40), torch.empty(_M, 6, 40)

    def function() -> None:
        torch.mul(c, 1, out=q)
        torch.sigmoid(q, out=q)
        c.copy_(q)

    codes = [one.code for one in fuse(lower(trace(function), _M), [])]
    assert codes == [Code.AFFINE, Code.LOGISTIC]


def test_what_is_read_later_is_written() -> None:
    x, w, q, c = _product()
    late = torch.empty(_M, 6, 40)

    def function() -> None:
        torch.bmm(x, w, out=q)
        torch.sigmoid(q, out=q)
        c.copy_(q)
        torch.mul(q, 2, out=late)

    assert _codes(function, [c, late]) == [Code.PRODUCT, Code.COPY, Code.AFFINE]


def test_what_the_next_run_reads_is_written() -> None:
    x, w, q, c = _product()
    first = torch.empty(_M, 6, 40)

    def function() -> None:
        torch.mul(q, 2, out=first)
        torch.bmm(x, w, out=q)
        torch.sigmoid(q, out=q)
        c.copy_(q)

    codes = [one.code for one in fuse(lower(trace(function), _M), [])]
    assert codes == [Code.AFFINE, Code.PRODUCT, Code.COPY]


def test_what_is_made_of_a_part_alone_stays() -> None:
    x, w, q, c = _product()

    def function() -> None:
        torch.bmm(x, w, out=q)
        torch.sigmoid(q, out=q)
        c[..., :20].copy_(q[..., :20])

    assert _codes(function, [c[..., :20]]) == [Code.PRODUCT, Code.COPY]


def test_the_maxima_around_a_softmax_are_found_once() -> None:
    x, y, highest, probable = torch.randn(_M, 5, 33), *(torch.empty(_M, 5, n) for n in (33, 1, 1))
    x_again = x.clone()

    def function() -> None:
        torch.amax(x, dim=2, keepdim=True, out=highest)
        torch.softmax(x, dim=2, out=y)
        torch.amax(y, dim=2, keepdim=True, out=probable)

    assert _codes(function, [y, highest, probable]) == [Code.SOFTMAX]
    assert torch.equal(x, x_again)


def test_each_of_several_maxima_is_written() -> None:
    x, y, once, twice = torch.randn(_M, 5, 33), *(torch.empty(_M, 5, n) for n in (33, 1, 1))

    def function() -> None:
        torch.softmax(x, dim=2, out=y)
        torch.amax(y, dim=2, keepdim=True, out=once)
        torch.amax(y, dim=2, keepdim=True, out=twice)

    assert _codes(function, [y, once, twice]) == [Code.SOFTMAX, Code.MAXIMUM]


def test_maxima_of_a_tensor_that_changed_are_computed_again() -> None:
    x, start, highest = torch.empty(_M, 5, 33), torch.randn(_M, 5, 33), torch.empty(_M, 5, 1)
    y = torch.empty_like(x)

    def function() -> None:
        x.copy_(start)
        torch.amax(x, dim=2, keepdim=True, out=highest)
        x.mul_(3)
        torch.softmax(x, dim=2, out=y)

    assert _codes(function, [y, highest]) == [Code.COPY, Code.MAXIMUM, Code.AFFINE, Code.SOFTMAX]
    torch.testing.assert_close(y, (3 * start).softmax(2))
