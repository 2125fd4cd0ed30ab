"""The facts about torch's kernels on which the bitwise contract relies. A new torch or another CPU may break one."""

import itertools
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

import rnnlab
from rnnlab.models.buffer_program import BufferProgram
from rnnlab.models.logistic import Logistic
from rnnlab.models.model_subset import ModelSubset
from rnnlab.models.numerics import gather_rows, logistic

_N = 200_003  # not a multiple of any vector length
_SLICES = ((0, _N), (1, _N - 1), (5, 100), (7, 33), (16, 40_000), (3, 65_539), (32, 131_072))

_KERNELS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "logistic": lambda a, b, c: logistic(a),
    "tanh": lambda a, b, c: torch.tanh(a),
    "tanh_backward": lambda a, b, c: torch.ops.aten.tanh_backward(a, b),
    "exp": lambda a, b, c: torch.exp(a),
    "reciprocal": lambda a, b, c: torch.reciprocal(b + 0.1),
    "sigmoid_backward": lambda a, b, c: torch.ops.aten.sigmoid_backward(a, b),
    "add_product": lambda a, b, c: torch.addcmul(a, b, c),
    "multiply": lambda a, b, c: a * c,
    "add_scaled": lambda a, b, c: torch.add(a, c, alpha=0.5),
    "lerp": lambda a, b, c: torch.lerp(a, c, 0.1),
    "addcmul": lambda a, b, c: torch.addcmul(a, b, c, value=0.001),
    "addcdiv": lambda a, b, c: torch.addcdiv(a, c, b + 0.1),
    "sqrt": lambda a, b, c: torch.sqrt(b),
}


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", _KERNELS)
def test_an_element_has_the_same_bits_wherever_it_lies(name: str, threads: Callable[[int], None]) -> None:
    torch.manual_seed(0)
    x, y, z = torch.randn(_N) * 2, torch.rand(_N), torch.randn(_N)
    threads(1)
    whole = _KERNELS[name](x, y, z)
    for n_threads in (1, 2, 3):
        threads(n_threads)
        for offset, length in _SLICES:
            part = slice(offset, offset + length)
            assert torch.equal(_KERNELS[name](x[part].clone(), y[part].clone(), z[part].clone()), whole[part])


@pytest.mark.parametrize("vocabulary", [256, 103, 65])
def test_a_row_of_log_softmax_has_the_same_bits_in_every_batch(vocabulary: int, threads: Callable[[int], None]) -> None:
    torch.manual_seed(0)
    logits, gradient = torch.randn(999, vocabulary) * 3, torch.randn(999, vocabulary)
    threads(1)
    whole = torch.log_softmax(logits, -1)
    whole_backward = torch.ops.aten._log_softmax_backward_data(gradient, whole, -1, torch.float32)
    for n_threads in (1, 2, 3):
        threads(n_threads)
        for offset, length in ((0, 1), (3, 7), (5, 500), (100, 899)):
            part = slice(offset, offset + length)
            rows = torch.log_softmax(logits[part].clone(), -1)
            assert torch.equal(rows, whole[part])
            backward = torch.ops.aten._log_softmax_backward_data(gradient[part].clone(), rows, -1, torch.float32)
            assert torch.equal(backward, whole_backward[part])


@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"),
    [(1, 1, 1), (7, 66, 33), (7, 128, 5), (50, 3, 103), (12, 80, 40), (32, 64, 32), (64, 3, 33), (256, 512, 256)],
)
def test_bmm_gives_a_model_the_same_bits_in_every_batch_that_has_no_fewer_models_than_threads(
    rows: int, inputs: int, outputs: int, threads: Callable[[int], None]
) -> None:
    assert rnnlab.__version__  # importing rnnlab sets the environment variable that this needs
    torch.manual_seed(0)
    x, weight = torch.randn(9, rows, inputs), torch.randn(9, inputs, outputs)
    bias, gradient = torch.randn(9, 1, outputs), torch.randn(9, rows, outputs)

    def products(part: slice) -> tuple[Tensor, ...]:
        a, w, b, g = (tensor[part].clone() for tensor in (x, weight, bias, gradient))
        return (
            torch.baddbmm(b, a, w),
            torch.bmm(a.transpose(1, 2), g),
            torch.bmm(g, w.transpose(1, 2)),
            g.sum(dim=1),
        )

    threads(1)
    whole = products(slice(0, 9))
    for n_models in (1, 2, 3, 5, 9):
        for n_threads in range(1, min(n_models, 4) + 1):
            threads(n_threads)
            for offset in {0, 1, 9 - n_models} - {9 - n_models + 1}:
                part = slice(offset, offset + n_models)
                for mine, all_models in zip(products(part), whole, strict=True):
                    assert torch.equal(mine, all_models[part][: len(mine)])


@pytest.mark.parametrize(("rows", "size"), [(7, 5), (64, 33), (256, 32), (300, 256)])
def test_sums_by_symbol_have_the_same_bits_with_any_neighbors_and_threads(
    rows: int, size: int, threads: Callable[[int], None]
) -> None:
    torch.manual_seed(0)
    ids, values = torch.randint(0, 40, (9, rows)), torch.randn(9, rows, size)
    expected = torch.zeros(9, 40, size)
    for m, b in itertools.product(range(9), range(rows)):
        expected[m, ids[m, b]] += values[m, b]
    for n_threads in (1, 2, 3):
        threads(n_threads)
        for start, end in ((0, 9), (0, 1), (4, 6), (1, 9)):
            places = (ids[start:end] + 40 * torch.arange(end - start).unsqueeze(1)).flatten()
            sums = torch.zeros((end - start) * 40, size).index_add_(0, places, values[start:end].flatten(0, 1))
            assert torch.equal(sums.view(-1, 40, size), expected[start:end])


@pytest.mark.parametrize(("rows", "size"), [(16, 32), (12, 40), (256, 32), (256, 256), (7, 33), (3, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_logistic_function_of_a_program_has_the_same_bits_with_any_neighbors_and_threads(
    rows: int, size: int, dtype: torch.dtype, threads: Callable[[int], None]
) -> None:
    torch.manual_seed(0)
    x = torch.randn(9, rows, size, dtype=dtype) * 5

    def of(part: Tensor) -> Tensor:
        program, one = BufferProgram(), Logistic(part)
        result = part * one.sign
        one.add_to(program, result)
        program()
        return result

    threads(1)
    whole = of(x)
    torch.testing.assert_close(whole, torch.sigmoid(x), rtol=0, atol=2e-7)
    for n_threads in (1, 2, 3):
        threads(n_threads)
        for start, end in ((0, 1), (0, 2), (3, 8), (8, 9)):
            assert torch.equal(of(x[start:end]), whole[start:end])


def test_logistic_is_the_logistic_function() -> None:
    x = torch.linspace(-40, 40, 10_001, dtype=torch.float64)
    torch.testing.assert_close(logistic(x), 1 / (1 + torch.exp(-x)), rtol=0, atol=1e-15)
    assert torch.autograd.gradcheck(logistic, torch.randn(7, dtype=torch.float64, requires_grad=True))


def test_gather_rows_is_a_linear_map_of_the_one_hot_symbol() -> None:
    torch.manual_seed(0)
    weight = torch.randn(3, 11, 4, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, 11, (3, 6))
    one_hot = torch.nn.functional.one_hot(ids, 11).double()
    cotangent = torch.randn(3, 6, 4, dtype=torch.float64)
    expected = torch.bmm(one_hot, weight)
    (expected_gradient,) = torch.autograd.grad(expected, weight, cotangent)
    actual = gather_rows(weight, ids)
    (actual_gradient,) = torch.autograd.grad(actual, weight, cotangent)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0)
    torch.testing.assert_close(actual_gradient, expected_gradient, rtol=0, atol=1e-15)


@pytest.mark.parametrize("members", [[0, 1, 2, 3, 4], [1, 2, 3], [0, 2, 4], [3]])
def test_users_take_and_add_only_their_own_rows(members: list[int]) -> None:
    torch.manual_seed(0)
    x, rows = torch.randn(5, 2), torch.randn(len(members), 2)
    subsets = ModelSubset(members, 5, torch.device("cpu"))
    assert torch.equal(subsets.take(x), torch.stack([x[m] for m in members]))
    added = x.clone()
    for row, m in enumerate(members):
        added[m] += rows[row]
    assert torch.equal(subsets.add(x, rows), added)
