"""Evaluation by the same kernels as training: the losses of many steps, without updates.

Shapes: K steps of a block, M models.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from rnnlab.kernels.operations import SETTINGS
from rnnlab.models.step_inputs import load_inputs
from rnnlab.training.engines.native_engine import native_program


class ForwardPass:
    """Runs `compute`, which reads `inputs` and writes losses. No parameter is updated."""

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
        """`losses`: returns the tensor of losses after `compute`, [M, ...]. `hidden`: the state between steps.

        native: use the native kernels, which needs fixed memory. Raises KernelsError if they lack an operation.
        """
        self._compute, self._inputs, self._losses, self._threads = compute, inputs, losses, max_threads
        self._program = native_program(compute, inputs, losses(), [losses(), *hidden]) if native else None

    def __call__(self, data: Sequence[Tensor]) -> Tensor:
        """The losses of K steps, [K, M, ...]; `data`: the contents of the inputs in each step, [K, M, ...] each."""
        n_steps = len(data[0])
        losses_K = self._losses().new_empty(n_steps, *self._losses().shape)
        if self._program is not None:
            no_updates_KM = np.zeros(losses_K.shape[:2], dtype=SETTINGS)
            self._program(no_updates_KM, self._threads, [values_K.contiguous() for values_K in data], [losses_K])
            return losses_K
        with torch.no_grad():
            for k in range(n_steps):
                load_inputs(self._inputs, data, k)
                self._compute()
                losses_K[k] = self._losses()
        return losses_K
