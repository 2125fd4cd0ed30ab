"""The operations that kernels.c knows, and their layout in memory.

Shapes: U models of an operation (some of the M models of the program), and up to three axes of one model's part.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor

AXES = 3  # of one model's part of an operand


class Code(IntEnum):
    """The operations, numbered as in kernels.c."""

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
    SUM_ALL = 16
    MAXIMUM = 17
    SOFTMAX = 18
    LOG = 19
    INDEX_SELECT = 20
    INDEX_ADD = 21
    GATHER = 22
    SCATTER_ADD = 23
    ADD_SQUARES = 24
    CLIP = 25
    SGD = 26
    ADAM = 27


_VIEW = np.dtype([("start", np.uint64), ("model_stride_bytes", np.int64), ("stride", np.int64, AXES)])
OPERATION = np.dtype(
    [
        ("code", np.int32),
        ("first_model", np.int32),
        ("n_models", np.int32),
        ("has_epilogue", np.int32),
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
# Settings of the optimizer, one record for each model and step: learning rate, weight decay, Adam's two bias
# corrections, and the gradient norm to clip to.
SETTINGS = np.dtype([(name, np.float64) for name in ("rate", "decay", "correction1", "correction2", "clip_norm")])
# The addresses of a buffer and of its table of all steps, and the bytes of one model.
EXCHANGE = np.dtype([("buffer", np.uint64), ("table", np.uint64), ("bytes", np.int64)])
BLOCK = np.dtype(  # the steps of one call
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


class UnsupportedOperationError(Exception):
    """An operation, or a layout of its operands, that kernels.c does not support."""


@dataclass(frozen=True)
class Operand:
    """A tensor of which each of U models has its own part, or which all of them share."""

    tensor: Tensor  # kept alive for the program
    model_stride_bytes: int  # from one model's part to the next; 0: the models share the tensor
    strides: tuple[int, ...]  # of the part's axes, in numbers (not bytes)
    span_bytes: int  # from the first number of a part to the end of its last number
    # Distance between the parts for `partition`, where the operation itself has absolute indices and takes the tensor
    # as shared; None: model_stride_bytes.
    part_stride_bytes: int | None = None

    def part_addresses(self, n_models: int) -> np.ndarray:
        """The address at which each model's part begins, [U]; empty if the models share the tensor."""
        stride = self.model_stride_bytes if self.part_stride_bytes is None else self.part_stride_bytes
        if stride == 0:
            return np.empty(0, dtype=np.int64)
        return self.tensor.data_ptr() + stride * np.arange(n_models)

    def packed(self) -> tuple[int, int, tuple[int, ...]]:
        """The fields of a View of kernels.c."""
        return self.tensor.data_ptr(), self.model_stride_bytes, self.strides


@dataclass(frozen=True)
class Epilogue:
    """What a product does with its result before it stores it: gain s(x) + offset, with s the logistic function.

    With gain 2 and offset -1 it makes tanh x from 2 x.
    """

    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Operation:
    """One operation on the tensors of U models. partition.py finds which models these are."""

    code: Code
    n_models: int  # U
    size: tuple[int, int, int]  # of one model's part; its meaning depends on the code, see the C functions
    operands: tuple[Operand | None, ...]  # out, a, b, c of kernels.c, as many as the operation has
    alpha: float = 0.0  # a factor of the operation, see the C functions
    beta: float = 0.0  # a second factor, or a number that is added
    epilogue: Epilogue | None = None  # of a product

    @property
    def out(self) -> Operand:
        """The operand that the operation writes; some operations read it too."""
        out = self.operands[0]
        assert out is not None
        return out

    def accessed(self) -> list[Operand]:
        """All operands that the operation reads or writes."""
        return [one for one in self.operands if one is not None]

    def packed(self, first_model: int) -> tuple[Any, ...]:
        """The fields of an Operation of kernels.c; `first_model` is the first of its U models."""
        given = (*self.operands, *(None,) * (4 - len(self.operands)))
        views = [(0, 0, (0,) * AXES) if one is None else one.packed() for one in given]
        epilogue = self.epilogue or Epilogue()
        numbers = (self.alpha, self.beta, epilogue.gain, epilogue.offset)
        return (int(self.code), first_model, self.n_models, int(self.epilogue is not None), self.size, *numbers, *views)


def operand(tensor: Tensor, dtype: torch.dtype = torch.float32) -> Operand:
    """A tensor [U, up to three axes] as an operand. Raises UnsupportedOperationError for another type than `dtype`."""
    if tensor.dtype != dtype or tensor.device.type != "cpu" or tensor.dim() > AXES + 1:
        raise UnsupportedOperationError(f"{tensor.dtype} with {tensor.dim()} axes on {tensor.device.type}")
    sizes, strides = tensor.shape[1:], tensor.stride()
    span = sum((size - 1) * stride for size, stride in zip(sizes, strides[1:], strict=True)) + 1
    item = tensor.element_size()
    return Operand(tensor, strides[0] * item, (*strides[1:], *(0,) * (AXES + 1 - tensor.dim())), span * item)


def elementwise(code: Code, out: Tensor, *inputs: Tensor, alpha: float = 0.0, beta: float = 0.0) -> Operation:
    """An elementwise operation; inputs are broadcast to `out`, [U, ...], and axes are merged where that is possible.

    Raises UnsupportedOperationError if more than three axes are left, or if the last one is not dense.
    """
    tensors = [out, *(one.expand(out.shape) for one in inputs)]
    if any(one.dtype != torch.float32 for one in tensors):
        raise UnsupportedOperationError(f"{code.name} of {[one.dtype for one in tensors]}")
    sizes, all_strides = _merged_axes(out.shape[1:], [one.stride()[1:] for one in tensors])
    if len(sizes) > AXES:
        raise UnsupportedOperationError(f"{code.name} on {len(sizes)} axes")
    size = (*(1,) * (AXES - len(sizes)), *sizes)
    operands = []
    for tensor, strides in zip(tensors, all_strides, strict=True):
        if strides and strides[-1] not in (0, 1) and sizes[-1] > 1:
            raise UnsupportedOperationError(f"{code.name} along an axis that is not dense")
        span = 4 * (sum((n - 1) * s for n, s in zip(sizes, strides, strict=True)) + 1)
        dense = (*strides[:-1], 1 if sizes[-1] == 1 else strides[-1]) if strides else (1,)
        operands.append(Operand(tensor, 4 * tensor.stride(0), (*(0,) * (AXES - len(dense)), *dense), span))
    if operands[0].strides[-1] != 1:
        raise UnsupportedOperationError(f"{code.name} with a result that is not dense")
    return Operation(code, out.shape[0], (size[0], size[1], size[2]), tuple(operands), alpha, beta)


def _merged_axes(sizes: torch.Size, strides: list[tuple[int, ...]]) -> tuple[list[int], list[list[int]]]:
    """Sizes and strides without axes of size 1; neighboring axes that are one axis in all tensors are merged."""
    new_sizes: list[int] = []
    new_strides: list[list[int]] = [[] for _ in strides]
    for axis, size in enumerate(sizes):
        if size == 1:
            continue
        fits = bool(new_sizes) and all(
            new[-1] == old[axis] * size for new, old in zip(new_strides, strides, strict=True)
        )
        if fits:
            new_sizes[-1] *= size
        else:
            new_sizes.append(size)
        for new, old in zip(new_strides, strides, strict=True):
            if fits:
                new[-1] = old[axis]
            else:
                new.append(old[axis])
    if not new_sizes:
        return [1], [[1] for _ in strides]
    return new_sizes, new_strides
