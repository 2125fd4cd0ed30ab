"""Which neighbours of a cohort run together, and lists of operations on fixed buffers.

Shapes: M models, B batch rows, K inputs, N outputs, U users of a part (some of the M).
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import torch
from torch import Tensor


def runs(models: Iterable[int], key: Callable[[int], object] = lambda m: None) -> list[range]:
    """The longest runs of neighbours among `models`, which ascend, over which the key is constant."""

    def constant(item: tuple[int, int]) -> tuple[int, object]:
        place, m = item
        return m - place, key(m)

    found = [[m for _, m in group] for _, group in groupby(enumerate(models), constant)]
    return [range(group[0], group[-1] + 1) for group in found]


class Rows:
    """A tensor [U, ...] with a row for each of some models, looked up by runs of models: always slices, no copies."""

    def __init__(self, tensor: Tensor, models: Sequence[int]) -> None:
        self.tensor = tensor
        self._place = {m: row for row, m in enumerate(models)}

    def __getitem__(self, run: range) -> Tensor:
        first = self._place[run[0]]
        assert self._place[run[-1]] == first + len(run) - 1
        return self.tensor[first : first + len(run)]


class Program:
    """Operations in order, each bound to its operands once: to run them again allocates and looks up nothing."""

    def __init__(self) -> None:
        self._operations: list[Callable[[], Any]] = []
        self.smallest_product = sys.maxsize  # models in the smallest of the products

    def __call__(self) -> None:
        for operation in self._operations:
            operation()

    def add(self, function: Callable[..., Any], *operands: Any, **more: Any) -> None:
        """Append function(*operands, **more)."""
        self._operations.append(partial(function, *operands, **more))

    def product(
        self, out: Tensor, x_UBK: Tensor, w_UKN: Tensor, plus: Tensor | None = None, scale: float = 1.0
    ) -> None:
        """out = scale (plus + x w), [U, B, N], contiguous. `plus` may be a bias, [U, 1, N].

        Into anything else torch does the products one by one, on all threads each, which changes bits.
        """
        assert out.is_contiguous()
        self._note(len(out))
        if plus is None and scale == 1.0:
            self.add(torch.bmm, x_UBK, w_UKN, out=out)
        elif plus is None:
            self.add(torch.baddbmm, out, x_UBK, w_UKN, beta=0, alpha=scale, out=out)
        else:
            self.add(torch.baddbmm, plus, x_UBK, w_UKN, beta=scale, alpha=scale, out=out)

    def accumulate(self, out: Tensor, x_UBK: Tensor, w_UKN: Tensor, scale: float = 1.0) -> None:
        """out += scale x w, [U, B, N], contiguous."""
        assert out.is_contiguous()
        self._note(len(out))
        self.add(torch.baddbmm, out, x_UBK, w_UKN, alpha=scale, out=out)

    def extend(self, other: "Program") -> None:
        """Append the operations of another program."""
        self._operations += other._operations
        self._note(other.smallest_product)

    def _note(self, n_models: int) -> None:
        self.smallest_product = min(n_models, self.smallest_product)
