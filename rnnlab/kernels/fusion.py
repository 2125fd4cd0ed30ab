"""Fusion: fewer operations and fewer passes over memory, with the same bits."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from rnnlab.kernels.operations import Code, Epilogue, Operand, Operation, elementwise, operand


def fuse(operations: Sequence[Operation], kept: Sequence[Tensor]) -> list[Operation]:
    """The same program with neighboring operations fused.

    `kept` are the tensors that are read after the program. They get the same bits as before, and so does every tensor
    that the program itself reads before it overwrites it.
    """
    return _fuse_epilogues(_fuse_row_maxima(operations), {_storage_address(tensor) for tensor in kept})


def _fuse_row_maxima(operations: Sequence[Operation]) -> list[Operation]:
    """Let each softmax write the row maxima of its input and of its result: it computes both in any case."""
    fused: list[Operation] = []
    for operation in operations:
        last = fused[-1] if fused else None
        pair = None if last is None else _softmax_with_maxima(last, operation)
        if pair is None:
            fused.append(operation)
        else:
            fused[-1] = pair
    return fused


def _softmax_with_maxima(last: Operation, operation: Operation) -> Operation | None:
    """A softmax and the maxima of its rows, or of its result's rows, as one operation; None for other pairs."""
    codes = (last.code, operation.code)
    if codes == (Code.MAXIMUM, Code.SOFTMAX) and _is_same_view(operation.operands[1], last.operands[1]):
        return replace(operation, operands=(*operation.operands, last.out))
    result_maxima = codes == (Code.SOFTMAX, Code.MAXIMUM) and _is_same_view(operation.operands[1], last.out)
    if result_maxima and len(last.operands) < 4:
        input_maxima = last.operands[2] if len(last.operands) > 2 else None
        return replace(last, operands=(*last.operands[:2], input_maxima, operation.out))
    return None


def _fuse_epilogues(operations: Sequence[Operation], kept: set[int]) -> list[Operation]:
    """Fuse a product, the logistic function of it, and a multiple or a copy of that, where they follow each other.

    The intermediate result is no longer written, so no later operation may read it.
    """
    accesses: dict[int, list[int]] = {}  # storage -> indices of the operations that read or write it, ascending
    for index, operation in enumerate(operations):
        for storage in {_storage_address(one.tensor) for one in operation.accessed()}:
            accesses.setdefault(storage, []).append(index)
    fused: list[Operation] = []
    for index, operation in enumerate(operations):
        last = fused[-1] if fused else None
        pair = None if last is None else _fused_pair(last, operation)
        if last is None or pair is None:
            fused.append(operation)
        elif _is_same_view(operation.out, last.out) or (
            _storage_address(last.out.tensor) not in kept and _is_dead_after(last.out, index, operations, accesses)
        ):
            fused[-1] = pair
        else:
            fused.append(operation)
    return fused


def _fused_pair(last: Operation, operation: Operation) -> Operation | None:
    """Both as one operation, where the second reads the whole result of the first and nothing else."""
    if operation.n_models != last.n_models or len(operation.operands) != 2:
        return None
    out, source = operation.out, operation.operands[1]
    if source is None or not _is_same_view(source, last.out):
        return None
    if last.code is Code.PRODUCT and last.epilogue is None and operation.code is Code.LOGISTIC:
        epilogue = Epilogue(operation.alpha, operation.beta)
        return replace(last, operands=(operand(out.tensor), *last.operands[1:]), epilogue=epilogue)
    scaled = {Code.AFFINE: Epilogue(operation.alpha, operation.beta), Code.COPY: Epilogue()}.get(operation.code)
    if last.code is Code.PRODUCT and last.epilogue == Epilogue() and scaled is not None:
        return replace(last, operands=(operand(out.tensor), *last.operands[1:]), epilogue=scaled)
    if last.code is Code.LOGISTIC and (last.alpha, last.beta) == (1.0, 0.0) and scaled is not None:
        whole = elementwise(last.code, out.tensor, source.tensor, alpha=scaled.gain, beta=scaled.offset)
        return whole if _is_same_view(last.operands[1], last.out) else None
    return None


def _is_dead_after(
    operand: Operand, index: int, operations: Sequence[Operation], accesses: Mapping[int, Sequence[int]]
) -> bool:
    """Whether the operand's content after operation `index` is overwritten before any operation reads it.

    The last operation is followed by the first one, of the next run.
    """
    storage = _storage_address(operand.tensor)
    indices = accesses[storage]
    later = operations[indices[bisect_right(indices, index) % len(indices)]]
    reads = any(one is not None and _storage_address(one.tensor) == storage for one in later.operands[1:])
    return _is_same_view(later.out, operand) and not reads


def _is_same_view(one: Operand | None, other: Operand | None) -> bool:
    """Whether both are the same numbers in memory, in the same order."""
    return one is not None and other is not None and _view_key(one.tensor) == _view_key(other.tensor)


def _view_key(tensor: Tensor) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


def _storage_address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
