"""The operations that kernels.c knows, and their layout in memory.

Shapes: U models that take part, 3 axes of what one model has.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

AXES = 3


class Code(IntEnum):
    """The numbers in kernels.c."""

    PRODUCT = 0
    COPY = 1
    ADD = 2
    MUL = 3
    ADDCMUL = 4
    LERP = 5
    AFFINE = 6
    EXP = 7
    RECIPROCAL = 8
    LOGISTIC = 9
    CLAMP_MIN = 10
    SIGMOID_BACKWARD = 11
    TANH_BACKWARD = 12
    THRESHOLD_BACKWARD = 13
    FILL = 14
    SUM = 15
    TOTAL = 16
    MAXIMUM = 17
    SOFTMAX = 18
    LOG = 19
    LOOK_UP = 20
    ADD_ROWS = 21
    PICK = 22
    ADD_TO_PICKED = 23
    ADD_SQUARES = 24
    CLIP = 25
    SGD = 26
    ADAM = 27


_VIEW = np.dtype([("start", np.uint64), ("model_bytes", np.int64), ("step", np.int64, AXES)])
OPERATION = np.dtype(
    [
        ("code", np.int32),
        ("first", np.int32),
        ("models", np.int32),
        ("squashes", np.int32),
        ("size", np.int64, AXES),
        ("alpha", np.float64),
        ("beta", np.float64),
        ("gain", np.float64),
        ("offset", np.float64),
        ("out", _VIEW),
        ("a", _VIEW),
        ("b", _VIEW),
        ("c", _VIEW),
    ]
)
# Of the optimiser, one for each model and step: learning rate, weight decay, two bias corrections, norm to clip to.
SETTINGS = np.dtype([(name, np.float64) for name in ("rate", "decay", "correction1", "correction2", "clip_norm")])
# A buffer and a table by their addresses, bytes of a model; and a block of steps.
EXCHANGE = np.dtype([("buffer", np.uint64), ("table", np.uint64), ("bytes", np.int64)])
BLOCK = np.dtype(
    [
        ("models", np.int64),
        ("steps", np.int64),
        ("settings", np.uint64),
        ("inputs", np.uint64),
        ("outputs", np.uint64),
        ("n_inputs", np.int64),
        ("n_outputs", np.int64),
    ]
)


class NotNativeError(Exception):
    """What kernels.c cannot do."""


@dataclass(frozen=True)
class Operand:
    """A tensor of which each of U models has its own part, or all the same one."""

    tensor: Tensor  # kept alive
    model_bytes: int  # from one model's part to the next; 0: they share it
    step: tuple[int, ...]  # of each axis, in numbers
    own_bytes: int  # from the first number of a part to after its last
    # Where the parts of the models begin for the eye, but not for the operation, which is given absolute indices.
    parts_bytes: int | None = None

    def starts(self, models: int) -> np.ndarray:
        """The address at which each model's part begins, [U]; empty for what they share."""
        stride = self.model_bytes if self.parts_bytes is None else self.parts_bytes
        if stride == 0:
            return np.empty(0, dtype=np.int64)
        return self.tensor.data_ptr() + stride * np.arange(models)

    def record(self) -> tuple[int, int, tuple[int, ...]]:
        """As kernels.c has it."""
        return self.tensor.data_ptr(), self.model_bytes, self.step


@dataclass(frozen=True)
class Squash:
    """gain s(x) + offset, with the logistic function s: also tanh x, from 2x."""

    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Operation:
    """One operation of U models. Which models they are is not known yet: see ownership.py."""

    code: Code
    models: int  # U
    size: tuple[int, int, int]
    operands: tuple[Operand | None, ...]  # out, a, b, c of kernels.c, as many as there are
    alpha: float = 0.0
    beta: float = 0.0
    squash: Squash | None = None  # of a product, after it

    @property
    def out(self) -> Operand:
        """What it writes; with COPY and others what it reads as well."""
        out = self.operands[0]
        assert out is not None
        return out

    def touched(self) -> list[Operand]:
        """All that it reads or writes."""
        return [one for one in self.operands if one is not None]

    def record(self, first: int) -> tuple[Any, ...]:
        """As kernels.c has it; `first` is the first of the models."""
        given = (*self.operands, *(None,) * (4 - len(self.operands)))
        views = [(0, 0, (0,) * AXES) if one is None else one.record() for one in given]
        squash = self.squash or Squash()
        numbers = (self.alpha, self.beta, squash.gain, squash.offset)
        return (int(self.code), first, self.models, int(self.squash is not None), self.size, *numbers, *views)


def operand(tensor: Tensor, dtype: torch.dtype = torch.float32) -> Operand:
    """A tensor [U, up to three axes]. Raises NotNativeError for other numbers than `dtype`."""
    if tensor.dtype != dtype or tensor.device.type != "cpu" or tensor.dim() > AXES + 1:
        raise NotNativeError(f"{tensor.dtype} of {tensor.dim()} axes on {tensor.device.type}")
    sizes, strides = tensor.shape[1:], tensor.stride()
    span = sum((size - 1) * stride for size, stride in zip(sizes, strides[1:], strict=True)) + 1
    item = tensor.element_size()
    return Operand(tensor, strides[0] * item, (*strides[1:], *(0,) * (AXES + 1 - tensor.dim())), span * item)


def elementwise(code: Code, out: Tensor, *inputs: Tensor, alpha: float = 0.0, beta: float = 0.0) -> Operation:
    """An operation on tensors that are broadcast to `out`, [U, ...], whose axes are merged as far as that goes."""
    tensors = [out, *(one.expand(out.shape) for one in inputs)]
    if any(one.dtype != torch.float32 for one in tensors):
        raise NotNativeError(f"{code.name} of {[one.dtype for one in tensors]}")
    sizes, steps = _merged(out.shape[1:], [one.stride()[1:] for one in tensors])
    if len(sizes) > AXES:
        raise NotNativeError(f"{code.name} on {len(sizes)} axes")
    missing = AXES - len(sizes)
    size = (*(1,) * missing, *sizes)
    operands = []
    for tensor, step in zip(tensors, steps, strict=True):
        if step and step[-1] not in (0, 1) and sizes[-1] > 1:
            raise NotNativeError(f"{code.name} along an axis that is not dense")
        span = 4 * (sum((n - 1) * s for n, s in zip(sizes, step, strict=True)) + 1)
        dense = (*step[:-1], 1 if sizes[-1] == 1 else step[-1]) if step else (1,)
        operands.append(Operand(tensor, 4 * tensor.stride(0), (*(0,) * (AXES - len(dense)), *dense), span))
    if operands[0].step[-1] != 1:
        raise NotNativeError(f"{code.name} into what is not dense")
    return Operation(code, out.shape[0], (size[0], size[1], size[2]), tuple(operands), alpha, beta)


def _merged(sizes: torch.Size, steps: list[tuple[int, ...]]) -> tuple[list[int], list[list[int]]]:
    """The axes without those of size 1, neighbours that lie as one in all tensors merged."""
    new_sizes: list[int] = []
    new_steps: list[list[int]] = [[] for _ in steps]
    for axis, size in enumerate(sizes):
        if size == 1:
            continue
        fits = bool(new_sizes) and all(new[-1] == step[axis] * size for new, step in zip(new_steps, steps, strict=True))
        if fits:
            new_sizes[-1] *= size
        else:
            new_sizes.append(size)
        for new, step in zip(new_steps, steps, strict=True):
            if fits:
                new[-1] = step[axis]
            else:
                new.append(step[axis])
    if not new_sizes:
        return [1], [[1] for _ in steps]
    return new_sizes, new_steps
