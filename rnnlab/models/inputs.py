"""What is new in each step of training or evaluation: buffers that a step reads, and what is to lie in them.

Shapes: K steps, M models.
"""

from collections.abc import Sequence

from torch import Tensor


def lay_ready(inputs: Sequence[Tensor], data: Sequence[Tensor], k: int) -> None:
    """Put what step k of `data`, [K, M, ...] each, has into the buffers, [M, ...] each."""
    for buffer, values_K in zip(inputs, data, strict=True):
        buffer.copy_(values_K[k])
