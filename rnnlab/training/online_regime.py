"""The online regime: the symbols of a block of steps, and losses and gradients of one step.

Shapes: K steps of a block, M models, B batch rows, S state size.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.gated.gated_cohort import GatedCohort
from rnnlab.models.gated.online_step import OnlineStep
from rnnlab.spec.regime_settings import OnlineSettings
from rnnlab.training.online_batches import WindowStream


class OnlineRegime:
    """What a cohort is trained on, step by step. `hidden` is the state of each layer, [M, B, S]."""

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
        """`train_tokens` is the training split, 1-D. Trainings differ in what is free in a cohort."""
        self._batch_size = trainings[0].batch_size
        self._online = OnlineStep(model, gradients, self._batch_size)
        self.inputs, self.hidden, self.losses = self._online.inputs, self._online.hidden, self._online.loss_M
        for mine, given in zip(self.hidden, hidden, strict=True):
            mine.copy_(given)
        self._streams = [
            WindowStream(training, seed, train_tokens) for training, seed in zip(trainings, seeds, strict=True)
        ]
        self._device = device

    def lay_out(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Lay the symbols of the next `n_steps` steps out."""
        inputs_KMB = torch.empty(n_steps, len(self._streams), self._batch_size, dtype=torch.int64)
        targets_KMB = torch.empty_like(inputs_KMB)
        keep_KM = torch.ones(n_steps, len(self._streams))
        for m, (stream, done) in enumerate(zip(self._streams, steps_done, strict=True)):
            starts = stream.fill(done, inputs_KMB[:, m], targets_KMB[:, m])
            keep_KM[starts, m] = 0.0  # the state is zero at a window's start
        laid_out = (inputs_KMB, targets_KMB, keep_KM)
        self._data = self._online.data(*(values_K.to(self._device) for values_K in laid_out))

    def data(self, first: int, n_steps: int) -> list[Tensor]:
        """What `inputs` are to hold in steps `first` to `first + n_steps - 1` of those laid out."""
        return [values_K[first : first + n_steps] for values_K in self._data]

    def compute(self) -> None:
        """Mean losses (nats per symbol) of what lies ready, into `losses`; each one's gradients, into their buffers."""
        self._online.run()
