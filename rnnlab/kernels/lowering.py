"""Lowering: from torch's operations to those of kernels.c. Every operand has the models along its first axis.

Shapes: U models of an operation.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rnnlab.kernels.operations import Code, Operand, Operation, UnsupportedOperationError, elementwise, operand
from rnnlab.kernels.tracing import Call

Lowering = Callable[[Call, int], list[Operation]]
_LOWERINGS: dict[str, Lowering] = {}


def lower(calls: Sequence[Call], n_models: int) -> list[Operation]:
    """The calls as operations of kernels.c. Raises UnsupportedOperationError for a call that has no lowering."""
    operations: list[Operation] = []
    for call in calls:
        if call.name not in _LOWERINGS:
            raise UnsupportedOperationError(call.name)
        operations += _LOWERINGS[call.name](call, n_models)
    return operations


def _lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Register a function as the lowering of torch's operations of these names."""

    def register(function: Lowering) -> Lowering:
        _LOWERINGS.update(dict.fromkeys(names, function))
        return function

    return register


def _float_option(value: object, default: float = 1.0) -> float:
    return float(value) if isinstance(value, int | float) else default


# Elementwise operations without numbers: torch's name -> code. The operands are in torch's order.
_ELEMENTWISE = {
    "copy": Code.COPY,
    "clone": Code.COPY,
    "exp": Code.EXP,
    "reciprocal": Code.RECIPROCAL,
    "lerp": Code.LERP,
    "sigmoid_backward": Code.SIGMOID_BACKWARD,
    "tanh_backward": Code.TANH_BACKWARD,
    "log": Code.LOG,
}


@_lowers(*_ELEMENTWISE)
def _elementwise(call: Call, n_models: int) -> list[Operation]:
    code = _ELEMENTWISE[call.name]
    inputs = call.args[1:] if call.name == "copy" else call.args
    return [elementwise(code, call.out, *(one for one in inputs if isinstance(one, Tensor)))]


@_lowers("sigmoid")
def _logistic(call: Call, n_models: int) -> list[Operation]:
    return [elementwise(Code.LOGISTIC, call.out, call.args[0], alpha=1.0)]


@_lowers("add", "sub")
def _sum(call: Call, n_models: int) -> list[Operation]:
    x, y = call.args[:2]
    alpha = _float_option(call.options.get("alpha")) * (1 if call.name == "add" else -1)
    if not isinstance(y, Tensor):
        return [elementwise(Code.AFFINE, call.out, x, alpha=1.0, beta=alpha * y)]
    if x.dim() == 0:  # a constant: its value is read now, as in a graph that a GPU captures
        return [elementwise(Code.AFFINE, call.out, y, alpha=alpha, beta=float(x))]
    return [elementwise(Code.ADD, call.out, x, y, alpha=alpha)]


@_lowers("mul")
def _multiple(call: Call, n_models: int) -> list[Operation]:
    x, y = call.args[:2]
    if isinstance(y, Tensor):
        return [elementwise(Code.MUL, call.out, x, y)]
    return [elementwise(Code.AFFINE, call.out, x, alpha=float(y))]


@_lowers("neg")
def _negative(call: Call, n_models: int) -> list[Operation]:
    return [elementwise(Code.AFFINE, call.out, call.args[0], alpha=-1.0)]


@_lowers("addcmul")
def _addcmul(call: Call, n_models: int) -> list[Operation]:
    return [elementwise(Code.ADDCMUL, call.out, *call.args[:3], alpha=_float_option(call.options.get("value")))]


@_lowers("relu", "clamp_min")
def _clamp_min(call: Call, n_models: int) -> list[Operation]:
    minimum = float(call.args[1]) if call.name == "clamp_min" else 0.0
    return [elementwise(Code.CLAMP_MIN, call.out, call.args[0], alpha=minimum)]


@_lowers("threshold_backward")
def _threshold_backward(call: Call, n_models: int) -> list[Operation]:
    return [elementwise(Code.THRESHOLD_BACKWARD, call.out, *call.args[:2], alpha=float(call.args[2]))]


@_lowers("zero")
def _zero(call: Call, n_models: int) -> list[Operation]:
    return [elementwise(Code.FILL, call.out)]


@_lowers("cat", "stack")
def _concatenation(call: Call, n_models: int) -> list[Operation]:
    parts: Sequence[Tensor] = call.args[0]
    axis = call.args[1]
    if call.name == "stack":
        parts = [part.unsqueeze(axis) for part in parts]
    targets = torch.split(call.out, [part.shape[axis] for part in parts], axis)
    return [elementwise(Code.COPY, target, part) for target, part in zip(targets, parts, strict=True)]


@_lowers("bmm", "baddbmm")
def _batched_product(call: Call, n_models: int) -> list[Operation]:
    *addend, x, w = call.args[:3] if call.name == "baddbmm" else call.args[:2]
    U, n_rows, n_columns = call.out.shape
    beta = _float_option(call.options.get("beta")) if addend else 0.0
    added = addend[0].expand(call.out.shape) if beta else None
    for dense, name in ((call.out, "result"), (added, "addend")):
        if dense is not None and dense.stride(2) != 1 and n_columns > 1:
            raise UnsupportedOperationError(f"{call.name} whose {name} is not dense")
    if (x.stride(2) != 1 and x.stride(1) != 1) or (w.stride(2) != 1 and w.stride(1) != 1):
        raise UnsupportedOperationError(f"{call.name} with a factor that is dense along no axis")
    operands = [operand(one) for one in (call.out, x, w, *([] if added is None else [added]))]
    alpha = _float_option(call.options.get("alpha"))
    return [Operation(Code.PRODUCT, U, (n_rows, n_columns, x.shape[2]), tuple(operands), alpha, beta)]


@_lowers("sum", "mean")
def _sum_over(call: Call, n_models: int) -> list[Operation]:
    x, axes = call.args[0], call.args[1] if len(call.args) > 1 else call.options["dim"]
    if list(axes) != [1]:
        raise UnsupportedOperationError(f"{call.name} over axes {axes}")
    alpha = 1.0 / x.shape[1] if call.name == "mean" else 1.0
    if x.dim() == 2:
        source = replace(operand(x), strides=(0, 0, x.stride(1)))
        return [Operation(Code.SUM_ALL, len(x), (1, 1, x.shape[1]), (operand(call.out), source), alpha)]
    if x.dim() != 3 or (x.stride(2) != 1 and x.shape[2] > 1):
        raise UnsupportedOperationError(f"{call.name} of a tensor that is not dense")
    source = replace(operand(x), strides=(0, x.stride(1), 1))
    return [Operation(Code.SUM, len(x), (1, x.shape[1], x.shape[2]), (operand(call.out), source), alpha)]


@_lowers("amax", "softmax", "_softmax")
def _along_rows(call: Call, n_models: int) -> list[Operation]:
    x, axis = call.args[0], call.args[1]
    last = [axis] if isinstance(axis, int) else list(axis)
    if x.dim() != 3 or last != [2] or x.stride(2) != 1:
        raise UnsupportedOperationError(f"{call.name} of {x.dim()} axes along axis {axis}")
    result = operand(call.out if call.out.dim() == 3 else call.out.unsqueeze(2))
    code = Code.MAXIMUM if call.name == "amax" else Code.SOFTMAX
    result = replace(result, strides=(0, result.strides[0], 1))
    source = replace(operand(x), strides=(0, x.stride(1), 1))
    return [Operation(code, len(x), (1, x.shape[1], x.shape[2]), (result, source))]


@_lowers("gather", "scatter_add")
def _one_per_row(call: Call, n_models: int) -> list[Operation]:
    x, axis, ids = call.args[:3]
    if x.dim() != 3 or axis != 2 or ids.shape[2] != 1 or x.stride(2) != 1:
        raise UnsupportedOperationError(f"{call.name} along axis {axis}")
    indices = operand(ids, torch.int64)
    size = (ids.shape[1], 1, 1)
    if call.name == "gather":
        return [Operation(Code.GATHER, len(x), size, (operand(call.out), operand(x), indices))]
    added = call.args[3]
    if added.stride() != (0, 0, 0):
        raise UnsupportedOperationError("scatter_add of more than one value")
    return [Operation(Code.SCATTER_ADD, len(x), size, (operand(call.out), None, indices, operand(added)))]


@_lowers("index_select", "index_add")
def _table_rows(call: Call, n_models: int) -> list[Operation]:
    """The tables of all models are one table, model after model; so are the ids, which index its rows."""
    table, axis, ids = call.args[:3]
    rows = call.out if call.name == "index_select" else call.args[3]
    given = (table, rows, ids)
    if axis != 0 or table.dim() != 2 or any(len(one) % n_models or not one.is_contiguous() for one in given):
        raise UnsupportedOperationError(f"{call.name} along axis {axis}")
    n, width = len(ids) // n_models, table.shape[1]
    part_bytes = len(table) // n_models * width * 4
    whole_table = Operand(table, 0, (width, 0, 1), part_bytes, part_stride_bytes=part_bytes)
    own_rows = operand(rows.view(n_models, n, width))
    indices = operand(ids.view(n_models, n), torch.int64)
    if call.name == "index_select":
        return [Operation(Code.INDEX_SELECT, n_models, (n, 1, width), (own_rows, whole_table, indices))]
    if _float_option(call.options.get("alpha")) != 1.0:
        raise UnsupportedOperationError("index_add with a factor")
    return [Operation(Code.INDEX_ADD, n_models, (n, 1, width), (whole_table, own_rows, indices))]
