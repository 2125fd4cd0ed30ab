"""Rows of each model's table by index, and the gradient of that, on fixed buffers.

Shapes: M models, V rows of a table, N indices of a model, P what a row has.
"""

import torch
from torch import Tensor

from rnnlab.models.numerics import sum_rows


class RowLookup:
    """`stage` indices, then `gather` and `scatter` by them as often as wanted."""

    def __init__(self, n_models: int, table_rows: int, n_indices: int, device: torch.device) -> None:
        """`table_rows`: V, `n_indices`: N."""
        self._first_M1 = table_rows * torch.arange(n_models, device=device).unsqueeze(1)
        self._ids_MN = torch.zeros(n_models, n_indices, dtype=torch.int64, device=device)
        self._rows_MN = self._ids_MN + self._first_M1  # of the tables of all models, one below the other

    def stage(self, ids_MN: Tensor) -> None:
        """The indices, integers from 0 to V - 1, [M, N] or in more axes."""
        self._ids_MN.view(ids_MN.shape).copy_(ids_MN)
        torch.add(self._ids_MN, self._first_M1, out=self._rows_MN)

    def gather(self, table_MVP: Tensor, *, out: Tensor) -> None:
        """out[m, n] = table[m, ids[m, n]], [M, N, P]; both are contiguous."""
        torch.index_select(table_MVP.flatten(0, 1), 0, self._rows_MN.view(-1), out=out.flatten(0, 1))

    def scatter(self, d_MNP: Tensor, *, out: Tensor) -> None:
        """out[m, v] = sum of d[m, n] over all n with ids[m, n] = v, [M, V, P]."""
        if out.is_cuda:
            sum_rows(self._ids_MN, d_MNP, out=out)
            return
        out.zero_().flatten(0, 1).index_add_(0, self._rows_MN.view(-1), d_MNP.flatten(0, 1))
