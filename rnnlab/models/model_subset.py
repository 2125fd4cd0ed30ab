"""Subsets of a cohort's models, and tensors that have an entry for each model of a subset.

Shapes: M models, U models of a subset.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import torch
from torch import Tensor


def contiguous_ranges(models: Iterable[int], key: Callable[[int], object] = lambda m: None) -> list[range]:
    """The longest ranges of consecutive models, in ascending `models`, on each of which the key is constant."""

    def constant(item: tuple[int, int]) -> tuple[int, object]:
        position, m = item
        return m - position, key(m)

    groups = [[m for _, m in group] for _, group in groupby(enumerate(models), constant)]
    return [range(group[0], group[-1] + 1) for group in groups]


class SubsetTensor:
    """A tensor [U, ...] with an entry for each model of a subset. A range of models gives a slice, never a copy."""

    def __init__(self, tensor: Tensor, models: Sequence[int]) -> None:
        self.tensor = tensor
        self._position = {m: position for position, m in enumerate(models)}

    def __getitem__(self, models: range) -> Tensor:
        first = self._position[models[0]]
        assert self._position[models[-1]] == first + len(models) - 1
        return self.tensor[first : first + len(models)]


class ModelSubset:
    """The models of a cohort that have a certain part, and the moves between the cohort and that subset.

    A range of consecutive models is a slice, without a copy; all models are the tensor itself; other subsets are an
    index.
    """

    def __init__(self, members: list[int], n_models: int, device: torch.device) -> None:
        self.members = members
        self.has_all = len(members) == n_models
        contiguous = bool(members) and members == list(range(members[0], members[-1] + 1))
        self._slice = slice(members[0], members[-1] + 1) if contiguous else None
        self._index = torch.tensor(members, dtype=torch.int64, device=device)

    def __len__(self) -> int:
        return len(self.members)

    def take(self, x: Tensor) -> Tensor:
        """The subset's entries of `x`, [M, ...] -> [U, ...]."""
        if self.has_all:
            return x
        return x[self._slice] if self._slice is not None else x.index_select(0, self._index)

    def add(self, x: Tensor, entries: Tensor) -> Tensor:
        """`x` with `entries` [U, ...] added to the subset's entries, [M, ...]."""
        if self.has_all:
            return x + entries
        return x.index_add(0, self._index, entries)
