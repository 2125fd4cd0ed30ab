"""Rows of each model's table by index, and the gradient of this lookup, on fixed buffers.

Shapes: K steps of a block, M models, V vocabulary (rows of a table), N symbols read at once, P numbers of a row.
"""

import torch
from torch import Tensor

from rnnlab.models.numerics import sum_rows


class RowLookup:
    """`gather` and `scatter` by the indices in `rows_MN`, which count the rows of all models' tables in sequence."""

    def __init__(self, n_models: int, table_rows: int, n_indices: int, device: torch.device) -> None:
        """`table_rows`: V, `n_indices`: N."""
        self._first_M1 = table_rows * torch.arange(n_models, device=device).unsqueeze(1)
        self.rows_MN = self._first_M1.repeat(1, n_indices)

    def rows_of(self, ids_KMN: Tensor) -> Tensor:
        """The contents of `rows_MN` for these indices, from 0 to V - 1, in each of K steps: int64 [K, M, N]."""
        return ids_KMN + self._first_M1

    def gather(self, table_MVP: Tensor, *, out: Tensor) -> None:
        """out[m, n] = table[m, ids[m, n]], [M, N, P]. Both tensors are contiguous."""
        torch.index_select(table_MVP.flatten(0, 1), 0, self.rows_MN.view(-1), out=out.flatten(0, 1))

    def scatter(self, d_MNP: Tensor, *, out: Tensor) -> None:
        """out[m, v] = sum of d[m, n] over all n with ids[m, n] = v, [M, V, P]."""
        if out.is_cuda:
            sum_rows(self.rows_MN - self._first_M1, d_MNP, out=out)
            return
        out.zero_().flatten(0, 1).index_add_(0, self.rows_MN.view(-1), d_MNP.flatten(0, 1))
