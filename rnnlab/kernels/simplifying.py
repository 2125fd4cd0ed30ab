"""Fewer operations for the same numbers."""

from collections.abc import Sequence
from dataclasses import replace

from rnnlab.kernels.operations import Code, Operand, Operation


def simplified(operations: Sequence[Operation]) -> list[Operation]:
    """Without the maxima of rows that a softmax of the same rows needs, or has anyway."""
    found: list[Operation] = []
    for operation in operations:
        last = found[-1] if found else None
        if operation.code is Code.SOFTMAX:
            out, rows = operation.operands
            known = _maximum_of(rows, found)
            found.append(replace(operation, operands=(out, rows, known)))
        elif (
            operation.code is Code.MAXIMUM
            and last is not None
            and last.code is Code.SOFTMAX
            and _same(operation.operands[1], last.out)
        ):
            found[-1] = replace(last, operands=(*last.operands[:3], operation.out))
        else:
            found.append(operation)
    return found


def _maximum_of(rows: Operand | None, operations: Sequence[Operation]) -> Operand | None:
    """Where the maxima of these rows lie, if neither they nor the rows were written to since."""
    for number in reversed(range(len(operations))):
        before = operations[number]
        if before.code is Code.MAXIMUM and _same(before.operands[1], rows):
            kept = all(not _writes(later, before.out) for later in operations[number + 1 :])
            return before.out if kept else None
        if rows is None or _writes(before, rows):
            return None
    return None


def _same(one: Operand | None, other: Operand | None) -> bool:
    """Whether they are the same numbers."""
    return one is not None and other is not None and one.record() == other.record()


def _writes(operation: Operation, operand: Operand) -> bool:
    """Whether it may write there, as far as storages tell."""
    written = [operation.out, *(operation.operands[3:] if operation.code is Code.SOFTMAX else [])]
    storages = {one.tensor.untyped_storage().data_ptr() for one in written if one is not None}
    return operand.tensor.untyped_storage().data_ptr() in storages
