"""Held-out loss of finished runs, and the result that goes into the table.

Shapes: M models, E evaluation rows (validation windows, then test windows), W window length (symbols).
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rnnlab.data.batches import evaluation_positions, windows
from rnnlab.data.splits import Splits
from rnnlab.models.gated import GatedCohort, count_parameters
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import limit_threads
from rnnlab.training.run_state import RunState
from rnnlab.training.stepwise import stepwise_losses


def held_out_windows(config: RunConfig, tokens: Tensor) -> Tensor:
    """The windows of one held-out split, [E, W]: evenly spaced, not overlapping, as long as in training."""
    length = config.training.window_length
    positions = evaluation_positions(len(tokens), length, config.evaluation.windows)
    return windows(tokens, positions, length)


@torch.no_grad()
def held_out_losses(
    configs: Sequence[RunConfig],
    states: Sequence[RunState],
    splits: Splits[Tensor],
    vocabulary_size: int,
    device: torch.device,
    max_threads: int,
) -> list[tuple[float, float]]:
    """(validation loss, test loss) of each run, nats per symbol; state zero at the start of each window.

    All runs have one group key. The mean goes over every prediction of every window, summed in float64.
    """
    model = GatedCohort(
        [config.model for config in configs],
        [state.parameters for state in states],
        vocabulary_size,
        device,
    )
    limit_threads(model, max_threads)
    validation_EW = held_out_windows(configs[0], splits.validation)
    test_EW = held_out_windows(configs[0], splits.test)
    windows_EW = torch.cat([validation_EW, test_EW]).to(device, torch.int64)
    mean_ME = stepwise_losses(model, windows_EW)
    n_validation = len(validation_EW)
    validation = mean_ME[:, :n_validation].mean(dim=1).tolist()
    test = mean_ME[:, n_validation:].mean(dim=1).tolist()
    return list(zip(validation, test, strict=True))


def result_of(
    config: RunConfig, state: RunState, held_out: tuple[float, float] | None, vocabulary_size: int
) -> dict[str, Any]:
    """The result that the table keeps. Losses in nats per symbol, `..._bits_per_character` in bits per symbol.

    `min_loss` is the published metric: the minimum of the recorded curve of the training loss's EMA.
    """
    validation, test = held_out if held_out is not None else (None, None)
    return {
        "min_loss": min(state.curve_ema_loss, default=None),
        "final_loss": state.curve_ema_loss[-1] if state.curve_ema_loss else None,
        "validation_loss": validation,
        "validation_bits_per_character": None if validation is None else validation / math.log(2),
        "test_loss": test,
        "test_bits_per_character": None if test is None else test / math.log(2),
        "parameters": count_parameters(config.model, vocabulary_size),
        "diverged_at_step": state.diverged_at_step,
    }
