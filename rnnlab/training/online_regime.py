"""The online regime: the symbols of a block of steps, and losses and gradients of one step.

Shapes: K steps of a block, M models, B batch rows, S state size.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.gated.gated_cohort import GatedCohort
from rnnlab.models.gated.online_step import OnlineStep
from rnnlab.spec.regime_settings import OnlineSettings
from rnnlab.training.online_batches import OnlineBatches


class OnlineRegime:
    """The data, losses and gradients of a cohort's steps. `hidden` is the state of each layer, [M, B, S]."""

    on_fixed_buffers = True
    n_symbols = 1

    def __init__(
        self,
        model: GatedCohort,
        gradients: Mapping[str, Tensor],
        trainings: Sequence[OnlineSettings],
        seeds: Sequence[int],
        hidden: list[Tensor],
        train_tokens: Tensor,
        device: torch.device,
    ) -> None:
        """`train_tokens`: the training split, 1-D. `trainings` differ only where members of a cohort may differ."""
        self._batch_size = trainings[0].batch_size
        self._online = OnlineStep(model, gradients, self._batch_size)
        self.inputs, self.hidden, self.losses = self._online.inputs, self._online.hidden, self._online.loss_M
        for buffer, given in zip(self.hidden, hidden, strict=True):
            buffer.copy_(given)
        self._batches = [
            OnlineBatches(training, seed, train_tokens) for training, seed in zip(trainings, seeds, strict=True)
        ]
        self._device = device

    def prepare(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Prepare the symbols of the next `n_steps` steps."""
        inputs_KMB = torch.empty(n_steps, len(self._batches), self._batch_size, dtype=torch.int64)
        targets_KMB = torch.empty_like(inputs_KMB)
        keep_KM = torch.ones(n_steps, len(self._batches))
        for m, (batches, done) in enumerate(zip(self._batches, steps_done, strict=True)):
            starts = batches.fill(done, inputs_KMB[:, m], targets_KMB[:, m])
            keep_KM[starts, m] = 0.0  # the state is zero at a window's start
        arguments = (inputs_KMB, targets_KMB, keep_KM)
        self._data = self._online.data(*(values_K.to(self._device) for values_K in arguments))

    def data(self, first: int, n_steps: int) -> list[Tensor]:
        """The contents of `inputs` in steps `first` to `first + n_steps - 1` of those prepared."""
        return [values_K[first : first + n_steps] for values_K in self._data]

    def compute(self) -> None:
        """Compute the mean losses (nats per symbol) of `inputs`, and the gradients of each, into their buffers."""
        self._online.run()
