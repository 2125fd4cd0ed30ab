"""Each operation of kernels.c against torch in float64, on dense and on strided tensors of odd sizes."""

import ctypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rnnlab.kernels import build
from rnnlab.kernels.lowering import lower
from rnnlab.kernels.operations import BLOCK, EXCHANGE, OPERATION, SETTINGS, Code, UnsupportedOperationError
from rnnlab.kernels.program import NativeProgram
from rnnlab.kernels.tracing import trace
from tests.support.kernels import need_kernels

_M = 3
_EPSILON = torch.finfo(torch.float32).eps
_SIZES = [(1, 1), (5, 7), (4, 16), (6, 33), (3, 160)]
_backward = torch.ops.aten

Function = Callable[..., object]


@pytest.fixture(autouse=True)
def _kernels() -> None:
    need_kernels()
    torch.manual_seed(0)


@pytest.fixture(params=["dense", "columns", "steps"])
def layout(request: pytest.FixtureRequest) -> str:
    """The layout of a tensor [M, B, O]: dense, some columns of a wider tensor, or one step of a longer tensor."""
    chosen: str = request.param
    return chosen


def _laid(layout: str, x_MBO: Tensor) -> Tensor:
    """A float32 copy in that layout."""
    M, B, width = x_MBO.shape
    wide = torch.randn(M, B, width + 5) if layout == "columns" else torch.randn(M, 4, B, width)
    place = {
        "dense": lambda: torch.empty(M, B, width),
        "columns": lambda: wide[..., 3 : 3 + width],
        "steps": lambda: wide[:, 2],
    }
    return place[layout]().copy_(x_MBO)


def _run(function: Callable[[], object], models: int = _M, threads: int = 1) -> None:
    """Trace the function, and run it natively."""
    program = NativeProgram(build.load(), lower(trace(function), models), models)
    program(np.zeros((1, models), dtype=SETTINGS), threads)


def _assert_close(mine: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(mine.double(), expected, rtol=1e-5, atol=1e-5)


_ELEMENTWISE: dict[str, tuple[int, Function]] = {
    "copy": (1, lambda x, out: out.copy_(x)),
    "add": (2, lambda x, y, out: torch.add(x, y, alpha=0.7, out=out)),
    "sub": (2, lambda x, y, out: torch.sub(x, y, out=out)),
    "add a number": (1, lambda x, out: torch.add(x, 1.5, out=out)),
    "mul": (2, lambda x, y, out: torch.mul(x, y, out=out)),
    "mul by a number": (1, lambda x, out: torch.mul(x, -2.5, out=out)),
    "addcmul": (3, lambda x, y, z, out: torch.addcmul(x, y, z, value=0.3, out=out)),
    "lerp": (3, lambda x, y, z, out: torch.lerp(x, y, z, out=out)),
    "neg": (1, lambda x, out: torch.neg(x, out=out)),
    "exp": (1, lambda x, out: torch.exp(x, out=out)),
    "reciprocal": (1, lambda x, out: torch.reciprocal(x, out=out)),
    "sigmoid": (1, lambda x, out: torch.sigmoid(x, out=out)),
    "log": (1, lambda x, out: torch.log(x.abs_(), out=out) if x.dtype == torch.float64 else torch.log(x, out=out)),
    "clamp_min": (1, lambda x, out: torch.clamp_min(x, -0.3, out=out)),
    "sigmoid_backward": (2, lambda x, y, out: _backward.sigmoid_backward.grad_input(x, y, grad_input=out)),
    "tanh_backward": (2, lambda x, y, out: _backward.tanh_backward.grad_input(x, y, grad_input=out)),
    "threshold_backward": (2, lambda x, y, out: _backward.threshold_backward.grad_input(x, y, 0.1, grad_input=out)),
    "zero": (1, lambda x, out: out.zero_()),
}


@pytest.mark.parametrize("name", _ELEMENTWISE)
@pytest.mark.parametrize(("B", "width"), _SIZES)
def test_elementwise(name: str, B: int, width: int, layout: str) -> None:
    n_inputs, function = _ELEMENTWISE[name]
    inputs = [torch.randn(_M, B, width).double() for _ in range(n_inputs)]
    if name == "log":
        inputs[0].abs_()
    mine, result = [_laid(layout, x) for x in inputs], _laid(layout, torch.zeros(_M, B, width))
    whole = result if result._base is None else result._base
    before = whole.clone()
    _run(lambda: function(*mine, out=result))
    expected = torch.empty(_M, B, width, dtype=torch.float64)
    function(*(x.double() for x in mine), out=expected)
    magnitude = 1 + expected.abs() + sum(x.abs() for x in inputs)
    assert ((result.double() - expected).abs() <= 4 * _EPSILON * magnitude).all()
    result.copy_(torch.zeros(_M, B, width))
    assert torch.equal(whole, before)  # nothing was written outside of it


@pytest.mark.parametrize("name", ["exp", "sigmoid"])
def test_exp_and_sigmoid_are_right_to_the_last_bits_over_their_whole_range(name: str) -> None:
    x = torch.linspace(-87, 88, 200_001).view(1, 1, -1)
    result = torch.empty_like(x)
    function = getattr(torch, name)
    _run(lambda: function(x, out=result), models=1)
    expected = function(x.double())
    assert ((result.double() - expected) / expected).abs().max().item() < 4 * _EPSILON


@pytest.mark.parametrize("name", ["exp", "sigmoid"])
def test_what_is_not_a_number_stays_so_and_infinity_has_its_limit(name: str) -> None:
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), 200.0, -200.0]).view(1, 1, -1)
    result = torch.empty_like(x)
    _run(lambda: getattr(torch, name)(x, out=result), models=1)
    found = result.view(-1).tolist()
    assert found[0] != found[0]
    assert found[2] == pytest.approx(0, abs=1e-37)
    assert found[4] == pytest.approx(0, abs=1e-37)
    if name == "sigmoid":
        assert found[1] == found[3] == 1.0


@pytest.mark.parametrize("w_is_transposed", [False, True])
@pytest.mark.parametrize("x_is_transposed", [False, True])
@pytest.mark.parametrize(
    ("B", "n_terms", "width"),
    [
        *((1, 1, 1), (7, 5, 3), (8, 32, 32), (19, 33, 17), (5, 600, 40), (64, 64, 97), (33, 300, 256), (100, 16, 48)),
        *((20, 300, 1), (9, 17, 1), (40, 700, 33), (17, 40, 65)),
    ],
)
def test_products(B: int, n_terms: int, width: int, x_is_transposed: bool, w_is_transposed: bool) -> None:
    x = torch.randn(_M, n_terms, B).transpose(1, 2) if x_is_transposed else torch.randn(_M, B, n_terms)
    w = torch.randn(_M, width, n_terms).transpose(1, 2) if w_is_transposed else torch.randn(_M, n_terms, width)
    bias, before = torch.randn(_M, 1, width), torch.randn(_M, B, width)
    longer = torch.full((_M, 3, B, width), 7.0)
    plain, with_bias, added = torch.empty(_M, B, width), longer[:, 1], before.clone()

    def function() -> None:
        torch.bmm(x, w, out=plain)
        torch.baddbmm(bias, x, w, beta=-2, alpha=-2, out=with_bias)
        torch.baddbmm(added, x, w, alpha=0.5, out=added)

    _run(function)
    exact = x.double() @ w.double()
    bound = 4 * _EPSILON * (n_terms**0.5 + 2) * (1 + x.double().abs() @ w.double().abs())
    assert ((plain.double() - exact).abs() <= bound).all()
    assert ((with_bias.double() + 2 * (bias.double() + exact)).abs() <= 2 * bound).all()
    assert ((added.double() - before.double() - 0.5 * exact).abs() <= bound).all()
    assert (longer[:, ::2] == 7).all()  # nothing was written outside of it


@pytest.mark.parametrize(("B", "width"), [*_SIZES, (300, 19)])
def test_sums_softmax_and_gather(B: int, width: int, layout: str) -> None:
    x, y = _laid(layout, 3 * torch.randn(_M, B, width)), torch.empty(_M, B, width)
    ids = torch.randint(0, width, (_M, B, 1))
    sums, totals, means = torch.empty(_M, width), torch.empty(_M), torch.empty(_M)
    minus_one = torch.full((), -1.0).expand(_M, B, 1)
    highest, probable, picked = torch.empty(_M, B), torch.empty(_M, B), torch.empty(_M, B, 1)

    def function() -> None:
        torch.sum(x, dim=1, out=sums)
        torch.amax(x, dim=2, out=highest)
        torch.gather(x, 2, ids, out=picked)
        torch.softmax(x, dim=2, out=y)
        torch.amax(y, dim=2, out=probable)
        torch.sum(highest, dim=1, out=totals)
        torch.mean(highest, dim=1, out=means)
        y.scatter_add_(2, ids, minus_one)

    before = x.double()
    _run(function)
    softmax = before.softmax(2)
    assert ((sums - before.sum(1)).abs() <= 4 * _EPSILON * before.abs().sum(1)).all()
    _assert_close(highest, before.amax(2))
    _assert_close(probable, softmax.amax(2))
    assert ((totals - before.amax(2).sum(1)).abs() <= 4 * _EPSILON * before.abs().amax(2).sum(1)).all()
    _assert_close(means, before.amax(2).mean(1))
    _assert_close(picked, before.gather(2, ids))
    one_hot = torch.nn.functional.one_hot(ids.squeeze(2), width)
    _assert_close(y, softmax - one_hot)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_by_index_and_their_sums(threads: int) -> None:
    V, N, P = 11, 40, 21
    table, out, d, gradient = torch.randn(_M, V, P), torch.empty(_M, N, P), torch.randn(_M, N, P), torch.ones(_M, V, P)
    ids = torch.randint(0, V, (_M, N))
    rows = ids + V * torch.arange(_M).unsqueeze(1)

    def function() -> None:
        torch.index_select(table.flatten(0, 1), 0, rows.view(-1), out=out.flatten(0, 1))
        gradient.zero_().flatten(0, 1).index_add_(0, rows.view(-1), d.flatten(0, 1))

    _run(function, threads=threads)
    one_hot = torch.nn.functional.one_hot(ids, V).double()
    assert torch.equal(out.double(), one_hot @ table.double())
    _assert_close(gradient, one_hot.transpose(1, 2) @ d.double())


def test_operands_are_broadcast() -> None:
    x, row, column, number = torch.randn(_M, 6, 21), torch.randn(_M, 1, 21), torch.randn(_M, 6, 1), torch.randn(())
    results = [torch.empty(_M, 6, 21) for _ in range(3)]

    def function() -> None:
        torch.add(x, row, out=results[0])
        torch.mul(x, column, out=results[1])
        torch.add(number, x, alpha=2, out=results[2])

    _run(function)
    for result, expected in zip(results, (x + row, x * column, number + 2 * x), strict=True):
        torch.testing.assert_close(result, expected, rtol=1e-6, atol=1e-6)


def test_concatenation() -> None:
    x, y, out = torch.randn(_M, 4, 5), torch.randn(_M, 4, 3), torch.empty(_M, 4, 8)
    stacked = torch.empty(_M, 2, 5)
    _run(lambda: (torch.cat([x, y], dim=2, out=out), torch.stack([x[:, 0], x[:, 1]], dim=1, out=stacked)))
    assert torch.equal(out, torch.cat([x, y], dim=2))
    assert torch.equal(stacked, x[:, :2])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.cumsum_(1),
        lambda x: x.double().mul_(2),
        lambda x: torch.sum(x, dim=2),
        lambda x: x.transpose(1, 2).mul_(2),
        lambda x: torch.amax(x, dim=1),
        lambda x: torch.bmm(x[..., ::2], torch.randn(_M, 2, 3)),
    ],
)
def test_what_the_kernels_cannot_do_is_refused(function: Callable[[Tensor], object]) -> None:
    x = torch.randn(_M, 3, 4)
    with pytest.raises(UnsupportedOperationError):
        lower(trace(lambda: function(x)), _M)


def test_tracing_changes_nothing() -> None:
    x, y = torch.ones(_M, 2, 2), torch.zeros(_M, 2, 2)
    calls = trace(lambda: torch.mul(x.add_(1), 3, out=y))
    assert [call.name for call in calls] == ["add", "mul"]
    assert torch.equal(x, torch.ones(_M, 2, 2))
    assert torch.equal(y, torch.zeros(_M, 2, 2))


def test_the_numbers_of_the_operations_are_those_of_the_source() -> None:
    source = (Path(build.__file__).parent / "kernels.c").read_text()
    found = re.search(r"enum \{(.*?)\}", source, re.DOTALL)
    assert found is not None
    assert [name.strip() for name in found[1].split(",")] == [code.name for code in Code]


def _fields(source: str, name: str) -> Iterator[str]:
    found = re.search(r"typedef struct \{([^}]*)\} " + name + ";", source)
    assert found is not None
    yield from re.findall(r"\b([a-z0-9_]+)(?:\[\d\])?[,;]", re.sub(r"/\*.*?\*/", "", found[1], flags=re.DOTALL))


def test_records_have_the_fields_of_the_source() -> None:
    folder = Path(build.__file__).parent
    assert list(_fields((folder / "operation.h").read_text(), "Operation")) == list(OPERATION.names or ())
    assert OPERATION.itemsize == ctypes.sizeof(ctypes.c_int64) * (2 + 3 + 4 + 4 * 5)
    assert len(list(_fields((folder / "updates.h").read_text(), "Settings"))) == len(SETTINGS.names or ())
    for name, fields in (("Exchange", EXCHANGE), ("Block", BLOCK)):
        assert list(_fields((folder / "kernels.c").read_text(), name)) == list(fields.names or ())
        assert fields.itemsize == 8 * len(fields.names or ())


@pytest.mark.parametrize("threads", [1, 2])
def test_each_step_reads_its_own_data_and_leaves_its_own_results(threads: int) -> None:
    x, total = torch.zeros(_M, 2, 5), torch.zeros(_M, 2, 5)
    data_K, results_K = torch.randint(9, (4, _M, 2, 5)).float(), torch.empty(4, _M, 2, 5)
    operations = lower(trace(lambda: total.add_(x)), _M)
    program = NativeProgram(build.load(), operations, _M, inputs=[x], outputs=[total])
    program(np.zeros((4, _M), dtype=SETTINGS), threads, [data_K], [results_K])
    assert torch.equal(results_K, data_K.cumsum(0))
