"""Training steps of a cohort, computed by torch. On a GPU several steps are one CUDA graph.

Shapes: K steps of a block, M models.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from rnnlab.models.step_inputs import load_inputs
from rnnlab.spec.regime_settings import Precision
from rnnlab.training.engines.cuda_graphs import Replay
from rnnlab.training.optimizer import CohortOptimizer
from rnnlab.training.precision import products_in
from rnnlab.training.regime import Regime

# Steps of a graph: enough for the host to have little work, few enough that few steps of a block are left for single
# calls; and fewer if each step reads many symbols, because each symbol is many kernels.
_GRAPH_STEPS = 8
_GRAPH_SYMBOLS = 64


class TorchEngine:
    """Runs the steps of one cohort by torch."""

    def __init__(self, regime: Regime, optimizer: CohortOptimizer, precision: Precision, n_models: int) -> None:
        self._regime = regime
        self._optimizer = optimizer
        self._precision = precision
        self._device = regime.inputs[0].device
        self.replay = Replay(self._device, can_capture=regime.on_fixed_buffers)
        self._graph_steps = max(1, min(_GRAPH_STEPS, _GRAPH_SYMBOLS // regime.n_symbols))
        self._data = [buffer.new_zeros(self._graph_steps, *buffer.shape) for buffer in regime.inputs]
        self._losses_KM = torch.zeros(self._graph_steps, n_models, device=self._device)

    def plan(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Prepare the next `n_steps` updates; `steps_done` counts each model's updates so far."""
        self._optimizer.plan(steps_done, n_steps)

    def __call__(self, first: int, data: Sequence[Tensor], losses_KM: Tensor, threads: int) -> None:
        """Do K of the prepared steps, from `first` on, for every model.

        `data`: the contents of the inputs in each step, [K, M, ...]; `losses_KM` takes the losses.
        """
        remaining = range(first, first + len(losses_KM))
        while remaining:
            kind, n_steps = self._optimizer.kind_of(remaining[0]), self._next_call_steps(remaining)
            steps = slice(remaining[0] - first, remaining[0] - first + n_steps)
            for buffer_K, values_K in zip(self._data, data, strict=True):
                buffer_K[:n_steps].copy_(values_K[steps])
            self.replay((kind, n_steps), partial(self._compute, remaining[0], n_steps))
            losses_KM[steps] = self._losses_KM[:n_steps]
            remaining = remaining[n_steps:]

    def _next_call_steps(self, remaining: range) -> int:
        """The number of steps of the next call: those of a graph if their updates are of one kind, otherwise one."""
        kinds = {self._optimizer.kind_of(k) for k in remaining[: self._graph_steps]}
        return self._graph_steps if len(remaining) >= self._graph_steps and len(kinds) == 1 else 1

    def _compute(self, first: int, n_steps: int) -> None:
        """The function that a GPU captures: the same operations on the same memory each time."""
        for k in range(n_steps):
            load_inputs(self._regime.inputs, self._data, k)
            with products_in(self._precision, self._device):
                self._regime.compute()
            self._optimizer.update(first + k)
            self._losses_KM[k] = self._regime.losses
