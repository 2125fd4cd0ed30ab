"""The inputs of a step of training or evaluation: buffers that every step reads, with new contents in each.

Shapes: K steps of a block, M models.
"""

from collections.abc import Sequence

from torch import Tensor


def load_inputs(inputs: Sequence[Tensor], data: Sequence[Tensor], k: int) -> None:
    """Copy step k of `data`, [K, M, ...] each, to the buffers, [M, ...] each."""
    for buffer, values_K in zip(inputs, data, strict=True):
        buffer.copy_(values_K[k])
