"""What a cohort needs of a training regime.

Shapes: M models, B batch rows, S state size.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Regime(Protocol):
    """How a cohort is trained: what each step sees, and what the gradients are."""

    inputs: list[Tensor]  # what a step reads that is new in each, [M, ...] each
    n_symbols: int  # that a step reads one after the other

    @property
    def hidden(self) -> list[Tensor]:
        """The state that is carried from step to step, [M, B, S] each."""

    @property
    def losses(self) -> Tensor:
        """Mean losses of the last step, [M], nats per symbol."""

    @property
    def on_fixed_buffers(self) -> bool:
        """Whether `compute` reads and writes the same memory each time, so that it can be captured."""

    def lay_out(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Prepare the data of the next `n_steps` steps."""

    def data(self, first: int, n_steps: int) -> list[Tensor]:
        """What `inputs` are to hold in steps `first` to `first + n_steps - 1` of those, [n_steps, M, ...] each."""

    def compute(self) -> None:
        """The losses of what lies ready, and the gradients of each in their buffers; nothing waits for the device."""
