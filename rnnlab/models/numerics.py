"""Building blocks whose result for one model does not depend on its neighbours or on the number of threads.

Shapes: M models, B batch rows, K inputs, N outputs, V vocabulary, S state.

Four facts about torch's CPU kernels carry the bitwise contract (docs/decisions/0002-bitwise-contract.md, and
tests/oracle/test_numerics.py, which fails where one of them stops holding):
- tanh, exp, log_softmax and all plain arithmetic give an element the same bits wherever it lies; sigmoid does not.
- bmm gives a model the same bits in every batch as long as there are no more threads than models.
- index_add sums the rows of one target in the order in which they stand. On a GPU it does not; there a one-hot product
  does the same with a fixed order of summation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread meanwhile."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def logistic(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), computed as (1 + tanh(x / 2)) / 2, elementwise.

    torch.sigmoid treats the last elements of a tensor with scalar code that rounds differently, so that a model's
    bits would depend on its place in the cohort; tanh does not.
    """
    half = torch.full((), 0.5, dtype=x.dtype, device=x.device)
    return torch.add(half, torch.tanh(x * 0.5), alpha=0.5)


def logistic_of_minus(minus_x: Tensor, *, out: Tensor) -> None:
    """1 / (1 + exp(-x)) from -x, which is overwritten; for loops over time.

    Several times as fast as the form above: tanh is the slowest of torch's elementwise kernels.
    """
    torch.reciprocal(minus_x.exp_().add_(1), out=out)


def sum_rows(ids_MN: Tensor, rows_MNP: Tensor, *, out: Tensor) -> None:
    """out[m, v] = sum of rows[m, n] over all n with ids[m, n] = v: the gradient of a gather of rows. out: [M, V, P]."""
    M, V, P = out.shape
    if out.is_cuda:
        one_hot_MVN = out.new_zeros(M, V, ids_MN.shape[1]).scatter_(1, ids_MN.unsqueeze(1), 1.0)
        torch.bmm(one_hot_MVN, rows_MNP, out=out)
        return
    flat_N = (ids_MN + V * torch.arange(M, device=out.device).unsqueeze(1)).view(-1)
    out.zero_().view(M * V, P).index_add_(0, flat_N, rows_MNP.reshape(-1, P))


class _RowGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight_MVS: Tensor, ids_MB: Tensor) -> Tensor:
        ctx.save_for_backward(ids_MB)
        ctx.vocabulary_size = weight_MVS.shape[1]
        rows = torch.arange(len(ids_MB), device=ids_MB.device).unsqueeze(1)
        return weight_MVS[rows, ids_MB]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (ids_MB,) = ctx.saved_tensors
        gradient_MBS = gradients[0]
        total_MVS = gradient_MBS.new_empty(len(ids_MB), ctx.vocabulary_size, gradient_MBS.shape[2])
        sum_rows(ids_MB, gradient_MBS, out=total_MVS)
        return total_MVS, None


def gather_rows(weight_MVS: Tensor, ids_MB: Tensor) -> Tensor:
    """Row ids[m, b] of each model's weight, [M, B, S]: a linear map applied to a one-hot input."""
    result: Tensor = _RowGather.apply(weight_MVS, ids_MB)  # type: ignore[no-untyped-call]
    return result


def affine(x: Tensor, weight_MKN: Tensor, bias_MN: Tensor) -> Tensor:
    """W x + b for each model, [M, B, N]; `x` is [M, B, K], or int64 [M, B]: symbols that stand for one-hot vectors."""
    if x.dtype == torch.int64:
        return gather_rows(weight_MKN, x) + bias_MN.unsqueeze(1)
    return torch.baddbmm(bias_MN.unsqueeze(1), x, weight_MKN)


class Users:
    """The models of a cohort that have a certain part, and the moves between the cohort and that subset.

    A contiguous run of models is a slice (no copy); everybody is the tensor itself; otherwise an index.
    """

    def __init__(self, members: list[int], n_models: int, device: torch.device) -> None:
        self.members = members
        self.everybody = len(members) == n_models
        contiguous = bool(members) and members == list(range(members[0], members[-1] + 1))
        self._slice = slice(members[0], members[-1] + 1) if contiguous else None
        self._index = torch.tensor(members, dtype=torch.int64, device=device)

    def __len__(self) -> int:
        return len(self.members)

    def take(self, x: Tensor) -> Tensor:
        """The users' rows of `x`, [M, ...] -> [users, ...]."""
        if self.everybody:
            return x
        return x[self._slice] if self._slice is not None else x.index_select(0, self._index)

    def add(self, x: Tensor, rows: Tensor) -> Tensor:
        """`x` with `rows` added to the users' rows, [M, ...]."""
        if self.everybody:
            return x + rows
        return x.index_add(0, self._index, rows)
