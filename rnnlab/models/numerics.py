"""Building blocks whose result for one model does not depend on its neighbours or on the number of threads.

Shapes: M models, B batch rows, K inputs, N outputs, V vocabulary, S state.

Three facts about torch's CPU kernels carry the bitwise contract (docs/decisions/0002-bitwise-contract.md, and
tests/oracle/test_numerics.py, which fails where one of them stops holding):
- tanh, log_softmax and all plain arithmetic give an element the same bits wherever it lies; sigmoid does not.
- bmm gives a model the same bits in every batch as long as there are no more threads than models.
- A one-hot product does what the gradient of a row gather does, with a fixed order of summation.
"""

from typing import Any

import torch
from torch import Tensor


def logistic(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), computed as (1 + tanh(x / 2)) / 2, elementwise.

    torch.sigmoid treats the last elements of a tensor with scalar code that rounds differently, so that a model's
    bits would depend on its place in the cohort; tanh does not.
    """
    half = torch.full((), 0.5, dtype=x.dtype, device=x.device)
    return torch.add(half, torch.tanh(x * 0.5), alpha=0.5)


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
        one_hot_MVB = gradient_MBS.new_zeros(len(ids_MB), ctx.vocabulary_size, ids_MB.shape[1])
        one_hot_MVB.scatter_(1, ids_MB.unsqueeze(1), 1.0)
        return torch.bmm(one_hot_MVB, gradient_MBS), None


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

    def put(self, x: Tensor, rows: Tensor) -> Tensor:
        """`x` with the users' rows replaced, [M, ...]."""
        if self.everybody:
            return rows
        return x.index_copy(0, self._index, rows)

    def add(self, x: Tensor, rows: Tensor) -> Tensor:
        """`x` with `rows` added to the users' rows, [M, ...]."""
        if self.everybody:
            return x + rows
        return x.index_add(0, self._index, rows)
