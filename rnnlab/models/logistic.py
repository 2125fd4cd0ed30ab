"""The logistic function as a part of a program, with bits that do not depend on the position.

Shapes: U users of a part, B batch rows, N outputs.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from rnnlab.models.buffer_program import Program
from rnnlab.models.numerics import logistic_of_minus

# torch's CPU kernels do 32 floats (16 doubles, or fewer) at a time and what is left over with scalar code, which rounds
# differently; below 2**15 elements they stay on one thread.
_VECTOR_ELEMENTS = 32
_PIECE_ELEMENTS = 2**14
_IN_ONE = ContextVar("_IN_ONE", default=False)


class Logistic:
    """s(x), in place of `sign` times x, for tensors of one batch size and a multiple of one width.

    Where each model's share is a whole number of vectors nothing is left over, and torch's sigmoid may be had, in
    pieces of few rows that no two threads share. Elsewhere it is 1 / (1 + exp(-x)): twice the time.
    """

    def __init__(self, like_UBN: Tensor) -> None:
        self._on_cpu = like_UBN.device.type == "cpu"
        whole = like_UBN.shape[1] * like_UBN.shape[2] % _VECTOR_ELEMENTS == 0
        self._native = not self._on_cpu or (whole and _unit(like_UBN) * like_UBN.shape[2] <= _PIECE_ELEMENTS)
        self.sign = 1.0 if self._native else -1.0

    def add_to(self, program: Program, x: Tensor) -> None:
        """`x` is contiguous."""
        if not self._native:
            program.add(logistic_of_minus, x, out=x)
            return
        whole, rows = _pieces(x) if self._on_cpu else (len(x), x.shape[1])
        pieces = [piece for models in torch.split(x, whole) for piece in torch.split(models, rows, dim=1)]
        program.add(_sigmoid, x, pieces)


def _sigmoid(x: Tensor, pieces: Sequence[Tensor]) -> None:
    """In place; `pieces` are all of x."""
    for piece in (x,) if _IN_ONE.get() else pieces:
        torch.sigmoid(piece, out=piece)


@contextmanager
def in_one_piece() -> Iterator[None]:
    """For those who only look at what is to be done: each function is one operation meanwhile."""
    token = _IN_ONE.set(True)
    try:
        yield
    finally:
        _IN_ONE.reset(token)


def _pieces(x_UBN: Tensor) -> tuple[int, int]:
    """How many models, and how many rows of them, are whole vectors and few enough elements.

    Several models only with all their rows.
    """
    _, B, N = x_UBN.shape
    unit = _unit(x_UBN)
    rows = max(1, _PIECE_ELEMENTS // N // unit) * unit
    return max(1, rows // B), min(B, rows)


def _unit(x_UBN: Tensor) -> int:
    """The fewest rows that are whole vectors."""
    return _VECTOR_ELEMENTS // math.gcd(_VECTOR_ELEMENTS, x_UBN.shape[2])
