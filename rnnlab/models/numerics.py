"""Functions whose result for one model does not depend on its neighbors in the cohort or on the number of threads.

Shapes: M models, N symbols read at once, I inputs and O outputs of a map, V vocabulary, P numbers of a table's row.

The bitwise contract rests on these facts about torch's CPU kernels (docs/decisions/0002-bitwise-contract.md;
tests/oracle/test_numerics.py fails if one of them stops holding):
- tanh, exp, log_softmax and all plain arithmetic give an element the same bits at any position; sigmoid does not.
- bmm gives a model the same bits in every batch as long as there are no more threads than models.
- index_add sums the rows of one target in their order. On a GPU it does not; there a one-hot product does the same with
  a fixed order of summation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def one_thread() -> Iterator[None]:
    """A context in which torch uses one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def logistic(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), computed as (1 + tanh(x / 2)) / 2, elementwise.

    torch.sigmoid computes the last elements of a tensor with scalar code that rounds differently, so a model's bits
    would depend on its position in the cohort; tanh does not.
    """
    half = torch.full((), 0.5, dtype=x.dtype, device=x.device)
    return torch.add(half, torch.tanh(x * 0.5), alpha=0.5)


def logistic_of_negated(minus_x: Tensor, *, out: Tensor) -> None:
    """1 / (1 + exp(-x)), computed from -x, which is overwritten. For loops over time.

    Several times as fast as `logistic`: tanh is the slowest of torch's elementwise kernels.
    """
    torch.reciprocal(minus_x.exp_().add_(1), out=out)


def sum_rows(ids_MN: Tensor, rows_MNP: Tensor, *, out: Tensor) -> None:
    """out[m, v] = sum of rows[m, n] over all n with ids[m, n] = v: the gradient of a gather of rows. out: [M, V, P]."""
    M, V, P = out.shape
    if out.is_cuda:
        one_hot_MVN = out.new_zeros(M, V, ids_MN.shape[1]).scatter_(1, ids_MN.unsqueeze(1), 1.0)
        torch.bmm(one_hot_MVN, rows_MNP, out=out)
        return
    flat_ids = (ids_MN + V * torch.arange(M, device=out.device).unsqueeze(1)).view(-1)
    out.zero_().view(M * V, P).index_add_(0, flat_ids, rows_MNP.reshape(-1, P))


class _RowGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight_MVP: Tensor, ids_MN: Tensor) -> Tensor:
        ctx.save_for_backward(ids_MN)
        ctx.vocabulary_size = weight_MVP.shape[1]
        rows = torch.arange(len(ids_MN), device=ids_MN.device).unsqueeze(1)
        return weight_MVP[rows, ids_MN]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (ids_MN,) = ctx.saved_tensors
        gradient_MNP = gradients[0]
        total_MVP = gradient_MNP.new_empty(len(ids_MN), ctx.vocabulary_size, gradient_MNP.shape[2])
        sum_rows(ids_MN, gradient_MNP, out=total_MVP)
        return total_MVP, None


def gather_rows(weight_MVP: Tensor, ids_MN: Tensor) -> Tensor:
    """Row ids[m, n] of each model's weight, [M, N, P]: a linear map applied to one-hot inputs."""
    result: Tensor = _RowGather.apply(weight_MVP, ids_MN)  # type: ignore[no-untyped-call]
    return result


def affine(x: Tensor, weight_MIO: Tensor, bias_MO: Tensor) -> Tensor:
    """W x + b for each model, [M, N, O]. `x` is [M, N, I], or int64 [M, N]: symbols that stand for one-hot vectors."""
    if x.dtype == torch.int64:
        return gather_rows(weight_MIO, x) + bias_MO.unsqueeze(1)
    return torch.baddbmm(bias_MO.unsqueeze(1), x, weight_MIO)
