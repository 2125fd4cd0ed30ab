"""The logistic function as a part of a program, with bits that do not depend on an element's position.

Shapes: U models of a subset, B batch rows, O outputs of a map.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from rnnlab.models.buffer_program import BufferProgram
from rnnlab.models.numerics import logistic_of_negated

# torch's CPU kernels compute 32 floats (16 doubles, or fewer) at a time and the remainder with scalar code, which
# rounds differently. Below 2**15 elements they stay on one thread.
_VECTOR_ELEMENTS = 32
_CHUNK_ELEMENTS = 2**14
_UNSPLIT = ContextVar("_UNSPLIT", default=False)


class Logistic:
    """Replaces `sign` times x by s(x), for tensors of one batch size and a multiple of one width.

    If each model's part is a whole number of vectors there is no remainder, and torch's sigmoid is used, on chunks of
    few rows each of which stays on one thread. Otherwise it is 1 / (1 + exp(-x)), which takes twice the time.
    """

    def __init__(self, like_UBO: Tensor) -> None:
        self._on_cpu = like_UBO.device.type == "cpu"
        whole = like_UBO.shape[1] * like_UBO.shape[2] % _VECTOR_ELEMENTS == 0
        self._native = not self._on_cpu or (whole and _unit(like_UBO) * like_UBO.shape[2] <= _CHUNK_ELEMENTS)
        self.sign = 1.0 if self._native else -1.0

    def add_to(self, program: BufferProgram, x: Tensor) -> None:
        """Append the function to the program. `x` is contiguous and is overwritten."""
        if not self._native:
            program.add(logistic_of_negated, x, out=x)
            return
        n_models, rows = _chunk_size(x) if self._on_cpu else (len(x), x.shape[1])
        chunks = [chunk for models in torch.split(x, n_models) for chunk in torch.split(models, rows, dim=1)]
        program.add(_sigmoid, x, chunks)


def _sigmoid(x: Tensor, chunks: Sequence[Tensor]) -> None:
    """The sigmoid of x in place; `chunks` cover x."""
    for chunk in (x,) if _UNSPLIT.get() else chunks:
        torch.sigmoid(chunk, out=chunk)


@contextmanager
def as_single_operations() -> Iterator[None]:
    """A context, for tracing, in which each logistic function is one operation instead of one for each chunk."""
    token = _UNSPLIT.set(True)
    try:
        yield
    finally:
        _UNSPLIT.reset(token)


def _chunk_size(x_UBO: Tensor) -> tuple[int, int]:
    """How many models, and how many rows of each, make a chunk of whole vectors and at most _CHUNK_ELEMENTS elements.

    A chunk of several models has all their rows.
    """
    _, B, n_outputs = x_UBO.shape
    unit = _unit(x_UBO)
    rows = max(1, _CHUNK_ELEMENTS // n_outputs // unit) * unit
    return max(1, rows // B), min(B, rows)


def _unit(x_UBO: Tensor) -> int:
    """The smallest number of rows that is a whole number of vectors."""
    return _VECTOR_ELEMENTS // math.gcd(_VECTOR_ELEMENTS, x_UBO.shape[2])
