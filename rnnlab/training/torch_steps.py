"""Training steps of a cohort by torch: on a GPU several of them are one graph.

Shapes: K steps, M models.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from rnnlab.models.inputs import lay_ready
from rnnlab.spec.regime_settings import Precision
from rnnlab.training.cuda_graphs import Replay
from rnnlab.training.optimizer import CohortOptimizer
from rnnlab.training.precision import products_in
from rnnlab.training.regime import Regime

# Steps of a graph: enough for the host to have little to do, few enough for what is left over of a block; and fewer
# where each reads many symbols, which are many kernels.
_STEPS_AT_ONCE = 8
_SYMBOLS_AT_ONCE = 64


class TorchSteps:
    """The steps of one cohort."""

    def __init__(self, regime: Regime, optimizer: CohortOptimizer, precision: Precision, n_models: int) -> None:
        self._regime = regime
        self._optimizer = optimizer
        self._precision = precision
        self._device = regime.inputs[0].device
        self.replay = Replay(self._device, can_capture=regime.on_fixed_buffers)
        self._at_once = max(1, min(_STEPS_AT_ONCE, _SYMBOLS_AT_ONCE // regime.n_symbols))
        self._data = [buffer.new_zeros(self._at_once, *buffer.shape) for buffer in regime.inputs]
        self._losses_KM = torch.zeros(self._at_once, n_models, device=self._device)

    def plan(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Prepare the next `n_steps` updates; `steps_done` counts each model's updates so far."""
        self._optimizer.plan(steps_done, n_steps)

    def __call__(self, first: int, data: Sequence[Tensor], losses_KM: Tensor, threads: int) -> None:
        """K steps from `first` on of those prepared, of every model.

        `data`: what the inputs hold in each of them, [K, M, ...]; `losses_KM` takes the losses.
        """
        left = range(first, first + len(losses_KM))
        while left:
            kind, n_steps = self._optimizer.kind_of(left[0]), self._alike(left)
            steps = slice(left[0] - first, left[0] - first + n_steps)
            for place_K, values_K in zip(self._data, data, strict=True):
                place_K[:n_steps].copy_(values_K[steps])
            self.replay((kind, n_steps), partial(self._compute, left[0], n_steps))
            losses_KM[steps] = self._losses_KM[:n_steps]
            left = left[n_steps:]

    def _alike(self, left: range) -> int:
        """How many of these steps to do at once: a whole graph of those whose updates do the same, or one."""
        kinds = {self._optimizer.kind_of(k) for k in left[: self._at_once]}
        return self._at_once if len(left) >= self._at_once and len(kinds) == 1 else 1

    def _compute(self, first: int, n_steps: int) -> None:
        """What is captured on a GPU: the same operations on the same memory each time."""
        for k in range(n_steps):
            lay_ready(self._regime.inputs, self._data, k)
            with products_in(self._precision, self._device):
                self._regime.compute()
            self._optimizer.update(first + k)
            self._losses_KM[k] = self._regime.losses
