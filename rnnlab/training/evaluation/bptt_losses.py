"""Losses of runs of the BPTT regime over windows of a text, each window read from the start state.

Shapes: K steps (batches), M models, E windows of an evaluation, W symbols of a window with its last target, B batch
rows.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnlab.data.batches import evaluation_positions, window_positions
from rnnlab.data.splits import Splits
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.training.bptt_batches import WindowSampler
from rnnlab.training.bptt_regime import Step, window_step
from rnnlab.training.engines.native_engine import arithmetic_of
from rnnlab.training.evaluation.forward_pass import ForwardPass

_SEED = 0  # for random windows
_CALL_BATCHES = 8  # batches of one call


def bptt_losses(
    model: RecurrentCohort,
    trainings: Sequence[BpttSettings],
    seeds: Sequence[int],
    splits: Splits[Tensor],
    max_windows: int,
    max_threads: int,
) -> list[dict[str, float]]:
    """The mean loss of each run on each part of the text that exists, nats per symbol.

    training, validation, test: on windows of that split, evenly spaced, or random if the training windows are random.
    held_out: on the windows of the training split that were held out.
    """
    reader = _Reader(model, trainings[0], max_threads)
    parts = {"training": splits.train, "validation": splits.validation, "test": splits.test}
    means: dict[str, list[float]] = {}
    for number, (name, tokens) in enumerate(parts.items()):
        if len(tokens):
            starts_E = _starts(trainings[0], len(tokens), max_windows, number)
            means[name] = reader.means(tokens, starts_E.expand(len(seeds), -1))
    held_out = [
        WindowSampler(training, seed, len(splits.train)).held_out()
        for training, seed in zip(trainings, seeds, strict=True)
    ]
    if len(held_out[0]):
        means["held_out"] = reader.means(splits.train, torch.stack(held_out))
    return [{name: of_each[m] for name, of_each in means.items()} for m in range(len(seeds))]


def _starts(training: BpttSettings, n_tokens: int, max_windows: int, part: int) -> Tensor:
    """The starts of the windows, the same for all seeds: an easier text must not look like a better run."""
    if training.sampling == "random":
        # Training windows have indices from 0 on, so negative ones are new windows.
        return window_positions(_SEED, -1 - part, max_windows, n_tokens, training.span)
    return evaluation_positions(n_tokens, training.span, max_windows)


class _Reader:
    """Reads windows with the forward pass of the training steps.

    A batch has the size of a training batch, or fewer rows if there are fewer windows. It does not depend on the
    cohort: another number of rows might change bits.
    """

    def __init__(self, model: RecurrentCohort, training: BpttSettings, max_threads: int) -> None:
        self._model, self._training, self._max_threads = model, training, max_threads
        self._device = model.device
        self._steps: dict[int, tuple[Step, ForwardPass]] = {}  # by batch size
        self._offsets_W1 = torch.arange(training.span).view(1, 1, -1, 1)

    def means(self, tokens: Tensor, starts_ME: Tensor) -> list[float]:
        """The mean over all windows, and over all positions or the last one as in training, summed in float64.

        The last batch is padded with windows of weight zero.
        """
        M, E = starts_ME.shape
        B = min(E, self._training.batch_size)
        step, forward_pass = self._for_batches_of(B)
        indices_KB = torch.arange(-(-E // B) * B).view(-1, B)
        starts_KMB = starts_ME[:, indices_KB % E].transpose(0, 1)
        weights_KMB = ((indices_KB < E).float() / E).unsqueeze(1).expand(starts_KMB.shape)
        total_M = torch.zeros(M, dtype=torch.float64, device=self._device)
        for starts, weights in zip(*(torch.split(x, _CALL_BATCHES) for x in (starts_KMB, weights_KMB)), strict=True):
            symbols_KMWB = tokens[starts.unsqueeze(2) + self._offsets_W1].to(self._device, torch.int64)
            begins_KM = torch.ones(len(starts), M, dtype=torch.bool, device=self._device)
            losses_KM = forward_pass(step.data(symbols_KMWB, weights.to(self._device), begins_KM))
            total_M += losses_KM.double().sum(dim=0)
        means: list[float] = total_M.tolist()
        return means

    def _for_batches_of(self, batch_size: int) -> tuple[Step, ForwardPass]:
        if batch_size not in self._steps:
            step = window_step(self._model, {}, self._training, batch_size=batch_size, carries=False)
            native = arithmetic_of(self._model.settings, self._device) == "native"
            self._steps[batch_size] = (
                step,
                ForwardPass(
                    step.forward, step.inputs, lambda: step.loss_M, native=native, max_threads=self._max_threads
                ),
            )
        return self._steps[batch_size]
