"""Programs: lists of operations on fixed buffers.

Shapes: U models of a subset, B batch rows, I inputs and O outputs of a map.
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor


class BufferProgram:
    """Operations in order, each bound to its operands once. A run allocates nothing and looks up nothing."""

    def __init__(self) -> None:
        self._operations: list[Callable[[], Any]] = []
        self.smallest_product = sys.maxsize  # number of models in the smallest batch of products

    def __call__(self) -> None:
        for operation in self._operations:
            operation()

    def add(self, function: Callable[..., Any], *operands: Any, **options: Any) -> None:
        """Append function(*operands, **options)."""
        self._operations.append(partial(function, *operands, **options))

    def product(
        self, out: Tensor, x_UBI: Tensor, w_UIO: Tensor, addend: Tensor | None = None, scale: float = 1.0
    ) -> None:
        """Append out = scale (addend + x w), [U, B, O]. `addend` may be a bias, [U, 1, O].

        `out` must be contiguous: otherwise torch computes the products one by one, each on all threads, and the bits
        change.
        """
        assert out.is_contiguous()
        self._include_product(len(out))
        if addend is None and scale == 1.0:
            self.add(torch.bmm, x_UBI, w_UIO, out=out)
        elif addend is None:
            self.add(torch.baddbmm, out, x_UBI, w_UIO, beta=0, alpha=scale, out=out)
        else:
            self.add(torch.baddbmm, addend, x_UBI, w_UIO, beta=scale, alpha=scale, out=out)

    def accumulate(self, out: Tensor, x_UBI: Tensor, w_UIO: Tensor, scale: float = 1.0) -> None:
        """Append out += scale x w, [U, B, O], contiguous."""
        assert out.is_contiguous()
        self._include_product(len(out))
        self.add(torch.baddbmm, out, x_UBI, w_UIO, alpha=scale, out=out)

    def extend(self, other: "BufferProgram") -> None:
        """Append the operations of another program."""
        self._operations += other._operations
        self._include_product(other.smallest_product)

    def _include_product(self, n_models: int) -> None:
        self.smallest_product = min(n_models, self.smallest_product)
