"""The losses of a step, over and over: evaluation by the same kernels as training.

Shapes: K steps, M models.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rnnlab.kernels.operations import SETTINGS
from rnnlab.models.inputs import lay_ready
from rnnlab.training.native import native_program


class ForwardPass:
    """Runs `compute`, which goes from `inputs` to losses; nothing is updated."""

    def __init__(
        self,
        compute: Callable[[], None],
        inputs: Sequence[Tensor],
        losses: Callable[[], Tensor],
        *,
        hidden: Sequence[Tensor] = (),
        native: bool,
        max_threads: int,
    ) -> None:
        """`losses`: where they lie after `compute`, [M, ...]. `hidden`: what one step leaves to the next.

        native: by native kernels, which needs fixed memory; raises KernelsError where they lack something.
        """
        self._compute, self._inputs, self._losses, self._threads = compute, inputs, losses, max_threads
        self._program = native_program(compute, inputs, losses(), [losses(), *hidden]) if native else None

    def __call__(self, data: Sequence[Tensor]) -> Tensor:
        """The losses of K steps, [K, M, ...]; `data`: what the inputs hold in each of them, [K, M, ...] each."""
        n_steps = len(data[0])
        losses_K = self._losses().new_empty(n_steps, *self._losses().shape)
        if self._program is not None:
            no_updates_KM = np.zeros(losses_K.shape[:2], dtype=SETTINGS)
            self._program(no_updates_KM, self._threads, [values_K.contiguous() for values_K in data], [losses_K])
            return losses_K
        with torch.no_grad():
            for k in range(n_steps):
                lay_ready(self._inputs, data, k)
                self._compute()
                losses_K[k] = self._losses()
        return losses_K
