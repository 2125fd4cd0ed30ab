"""The interface of a training regime.

Shapes: K steps of a block, M models, B batch rows, S state size.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Regime(Protocol):
    """How a cohort is trained: the data of each step, its losses and its gradients."""

    inputs: list[Tensor]  # buffers whose contents are new in each step, [M, ...] each
    n_symbols: int  # symbols that a step reads one after the other; > 0

    @property
    def hidden(self) -> list[Tensor]:
        """The state that is carried from step to step, [M, B, S] each."""

    @property
    def losses(self) -> Tensor:
        """Mean losses of the last step, [M], nats per symbol."""

    @property
    def on_fixed_buffers(self) -> bool:
        """Whether `compute` reads and writes the same memory each time, so that it can be traced or captured."""

    def prepare(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Prepare the data of the next `n_steps` steps."""

    def data(self, first: int, n_steps: int) -> list[Tensor]:
        """The contents of `inputs` in the prepared steps from `first` to `first + n_steps - 1`, [K, M, ...] each."""

    def compute(self) -> None:
        """Compute the losses of `inputs` and their gradients, in the buffers, without waiting for the device."""
