"""Fewer operations and fewer passes over memory for the same bits."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from rnnlab.kernels.operations import Code, Operand, Operation, Squash, elementwise, operand


def simplified(operations: Sequence[Operation], kept: Sequence[Tensor]) -> list[Operation]:
    """The same numbers in `kept` and in everything that the program reads again before it writes it anew."""
    return _with_squashes(_without_maxima(operations), {_storage(tensor) for tensor in kept})


def _without_maxima(operations: Sequence[Operation]) -> list[Operation]:
    """Without the maxima of rows just before a softmax of them, and of its result just after: it has them anyway."""
    found: list[Operation] = []
    for operation in operations:
        last = found[-1] if found else None
        joined = None if last is None else _softmax_with_maxima(last, operation)
        if joined is None:
            found.append(operation)
        else:
            found[-1] = joined
    return found


def _softmax_with_maxima(last: Operation, operation: Operation) -> Operation | None:
    """Both as one, where one is a softmax and the other the maxima of its rows, or of its result."""
    codes = (last.code, operation.code)
    if codes == (Code.MAXIMUM, Code.SOFTMAX) and _same(operation.operands[1], last.operands[1]):
        return replace(operation, operands=(*operation.operands, last.out))
    if codes == (Code.SOFTMAX, Code.MAXIMUM) and _same(operation.operands[1], last.out) and len(last.operands) < 4:
        highest = last.operands[2] if len(last.operands) > 2 else None
        return replace(last, operands=(*last.operands[:2], highest, operation.out))
    return None


def _with_squashes(operations: Sequence[Operation], kept: set[int]) -> list[Operation]:
    """A product, the logistic function of it, and a factor or a copy of that, as one operation where they follow.

    What lay between them is not written any more, so it must be of no use to others.
    """
    touching: dict[int, list[int]] = {}  # by storage: the numbers of the operations that read or write it, ascending
    for number, operation in enumerate(operations):
        for storage in {_storage(one.tensor) for one in operation.touched()}:
            touching.setdefault(storage, []).append(number)
    found: list[Operation] = []
    for number, operation in enumerate(operations):
        last = found[-1] if found else None
        joined = None if last is None else _joined(last, operation)
        if last is None or joined is None:
            found.append(operation)
        elif _same(operation.out, last.out) or (
            _storage(last.out.tensor) not in kept and _is_passing(last.out, number, operations, touching)
        ):
            found[-1] = joined
        else:
            found.append(operation)
    return found


def _joined(last: Operation, operation: Operation) -> Operation | None:
    """Both as one, where the second makes something of all that the first has made, and of nothing else."""
    if operation.models != last.models or len(operation.operands) != 2:
        return None
    out, source = operation.out, operation.operands[1]
    if source is None or not _same(source, last.out):
        return None
    if last.code is Code.PRODUCT and last.squash is None and operation.code is Code.LOGISTIC:
        squash = Squash(operation.alpha, operation.beta)
        return replace(last, operands=(operand(out.tensor), *last.operands[1:]), squash=squash)
    factors = {Code.AFFINE: Squash(operation.alpha, operation.beta), Code.COPY: Squash()}.get(operation.code)
    if last.code is Code.PRODUCT and last.squash == Squash() and factors is not None:
        return replace(last, operands=(operand(out.tensor), *last.operands[1:]), squash=factors)
    if last.code is Code.LOGISTIC and (last.alpha, last.beta) == (1.0, 0.0) and factors is not None:
        whole = elementwise(last.code, out.tensor, source.tensor, alpha=factors.gain, beta=factors.offset)
        return whole if _same(last.operands[1], last.out) else None
    return None


def _is_passing(
    operand: Operand, number: int, operations: Sequence[Operation], touching: Mapping[int, Sequence[int]]
) -> bool:
    """Whether what lies there after operation `number` is written anew before anybody reads it.

    After the last operation comes the first: the next run.
    """
    storage = _storage(operand.tensor)
    numbers = touching[storage]
    place = bisect_right(numbers, number)
    later = operations[numbers[place % len(numbers)]]
    reads = any(one is not None and _storage(one.tensor) == storage for one in later.operands[1:])
    return _same(later.out, operand) and not reads


def _same(one: Operand | None, other: Operand | None) -> bool:
    """Whether they are the same numbers."""
    return one is not None and other is not None and _place(one.tensor) == _place(other.tensor)


def _place(tensor: Tensor) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
