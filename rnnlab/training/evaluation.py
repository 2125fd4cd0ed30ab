"""Held-out loss of finished runs, and the result that goes into the table.

Shapes: M models, E evaluation rows (validation windows, then test windows), W window length (symbols).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rnnlab.data.batches import evaluation_positions, windows
from rnnlab.data.splits import Splits
from rnnlab.models.gated import GatedCohort, count_parameters
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import limit_threads
from rnnlab.training.measures import TextRate
from rnnlab.training.run_state import RunState


def evaluation_windows(tokens: Tensor, window_length: int, max_windows: int) -> Tensor:
    """At most `max_windows` windows of one split, [E, W]: evenly spaced, not overlapping.

    Raises ValueError where no window fits.
    """
    return windows(tokens, evaluation_positions(len(tokens), window_length, max_windows), window_length)


@torch.no_grad()
def window_losses(
    configs: Sequence[RunConfig],
    states: Sequence[RunState],
    windows_EW: Tensor,
    vocabulary_size: int,
    device: torch.device,
    max_threads: int,
) -> Tensor:
    """The loss of each run on each window, [M, E], nats per symbol in float64; state zero at the window's start.

    All runs have one group key. The mean goes over every prediction of the window.
    """
    model = GatedCohort(
        [config.model for config in configs],
        [state.parameters for state in states],
        vocabulary_size,
        device,
    )
    limit_threads(model, max_threads)
    windows_EW = windows_EW.to(device, torch.int64)
    n_rows, length = windows_EW.shape
    hidden = model.initial_state(n_rows)
    total_ME = torch.zeros(len(configs), n_rows, dtype=torch.float64, device=device)
    for t in range(length - 1):
        logits_MEV, hidden = model.step(windows_EW[:, t].expand(len(configs), -1), hidden)
        targets = windows_EW[:, t + 1].repeat(len(configs))
        losses = torch.nn.functional.cross_entropy(logits_MEV.flatten(0, 1), targets, reduction="none")
        total_ME += losses.view(len(configs), n_rows)
    return total_ME / (length - 1)


def held_out_losses(
    configs: Sequence[RunConfig],
    states: Sequence[RunState],
    splits: Splits[Tensor],
    vocabulary_size: int,
    device: torch.device,
    max_threads: int,
) -> list[tuple[float, float]]:
    """(validation loss, test loss) of each run, nats per symbol, on windows as long as in training.

    All runs have one group key.
    """
    length, most = configs[0].training.window_length, configs[0].evaluation.windows
    validation_EW = evaluation_windows(splits.validation, length, most)
    windows_EW = torch.cat([validation_EW, evaluation_windows(splits.test, length, most)])
    mean_ME = window_losses(configs, states, windows_EW, vocabulary_size, device, max_threads)
    n_validation = len(validation_EW)
    validation = mean_ME[:, :n_validation].mean(dim=1).tolist()
    test = mean_ME[:, n_validation:].mean(dim=1).tolist()
    return list(zip(validation, test, strict=True))


def result_of(
    config: RunConfig,
    state: RunState,
    held_out: tuple[float, float] | None,
    vocabulary_size: int,
    rates: tuple[TextRate, TextRate],
) -> dict[str, Any]:
    """The result that the table keeps. Losses in nats per symbol, and in bits per character and per byte of the text.

    `held_out` and `rates` are those of validation and test. `min_loss` is the published metric: the minimum of the
    recorded curve of the training loss's EMA.
    """
    losses = held_out if held_out is not None else (None, None)
    result: dict[str, Any] = {
        "min_loss": min(state.curve_ema_loss, default=None),
        "final_loss": state.curve_ema_loss[-1] if state.curve_ema_loss else None,
    }
    for split, loss, rate in zip(("validation", "test"), losses, rates, strict=True):
        result[f"{split}_loss"] = loss
        result[f"{split}_bits_per_character"] = None if loss is None else rate.bits_per_character(loss)
        result[f"{split}_bits_per_byte"] = None if loss is None else rate.bits_per_byte(loss)
    return result | {
        "parameters": count_parameters(config.model, vocabulary_size),
        "diverged_at_step": state.diverged_at_step,
    }
