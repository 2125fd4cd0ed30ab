"""Losses of runs of the BPTT regime over windows of a text, each window read from the start state.

Shapes: M models, E windows, T symbols of a window, B windows at a time, S state size, V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnlab.data.batches import evaluation_positions, window_positions
from rnnlab.data.splits import Splits
from rnnlab.models.recurrent import RecurrentCohort
from rnnlab.spec.regimes import BpttSettings
from rnnlab.training.bptt import symbol_losses
from rnnlab.training.sampler import WindowSampler


@torch.no_grad()
def split_losses(
    model: RecurrentCohort,
    trainings: Sequence[BpttSettings],
    seeds: Sequence[int],
    splits: Splits[Tensor],
    max_windows: int,
) -> list[dict[str, float]]:
    """The mean loss of each run on each part of the text that there is, nats per symbol.

    training, validation, test: on windows of that split, evenly spaced, or at random where training windows are.
    held_out: on the windows of the training split that were held out.
    """
    parts = {"training": splits.train, "validation": splits.validation, "test": splits.test}
    means: dict[str, list[float]] = {}
    for number, (name, tokens) in enumerate(parts.items()):
        if len(tokens):
            starts_ME = torch.stack([_starts(trainings[0], seed, len(tokens), max_windows, number) for seed in seeds])
            means[name] = _means(model, trainings[0], tokens, starts_ME)
    held_out = [
        WindowSampler(training, seed, len(splits.train)).held_out()
        for training, seed in zip(trainings, seeds, strict=True)
    ]
    if len(held_out[0]):
        means["held_out"] = _means(model, trainings[0], splits.train, torch.stack(held_out))
    return [{name: of_each[m] for name, of_each in means.items()} for m in range(len(seeds))]


def _starts(training: BpttSettings, seed: int, n_tokens: int, max_windows: int, part: int) -> Tensor:
    if training.sampling == "random":
        # Windows of training have indexes from 0 on: these are fresh.
        return window_positions(seed, -1 - part, max_windows, n_tokens, training.span)
    return evaluation_positions(n_tokens, training.span, max_windows)


def _means(model: RecurrentCohort, training: BpttSettings, tokens: Tensor, starts_ME: Tensor) -> list[float]:
    """The mean over all windows, and over their positions or at the last one as in training, summed in float64.

    A batch is as large as in training, whatever the cohort: another number of rows might change bits.
    """
    last_only = training.loss_at == "last"
    offsets_T1 = torch.arange(training.span).view(1, -1, 1)
    total_M = torch.zeros(model.n_models, dtype=torch.float64, device=model.device)
    for starts_MB in torch.split(starts_ME, training.batch_size, dim=1):
        symbols_MTB = tokens[starts_MB.unsqueeze(1) + offsets_T1].to(model.device, torch.int64)
        state = model.initial_state(starts_MB.shape[1])
        logits_MTBV, _ = model.window(symbols_MTB[:, :-1], state, last_only=last_only)
        losses_MTB = symbol_losses(logits_MTBV, symbols_MTB[:, -1:] if last_only else symbols_MTB[:, 1:])
        total_M += losses_MTB.flatten(1).double().sum(dim=1) / losses_MTB.shape[1]
    means: list[float] = (total_M / starts_ME.shape[1]).tolist()
    return means
