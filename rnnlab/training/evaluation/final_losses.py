"""Losses of finished runs, and the result that goes into the table.

Shapes: M models, E evaluation rows (validation windows, then test windows), W window length (symbols), K symbols of
each window.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rnnlab.data.batches import evaluation_positions, windows
from rnnlab.data.splits import Splits
from rnnlab.kernels.build import kernels_on
from rnnlab.models.factory import count_parameters, make_cohort
from rnnlab.models.gated.gated_cohort import GatedCohort
from rnnlab.models.gated.online_step import OnlineForward
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import limit_threads
from rnnlab.training.evaluation.forward_pass import ForwardPass
from rnnlab.training.evaluation.window_losses import split_losses
from rnnlab.training.run_state import RunState, debiased

_SYMBOLS_AT_ONCE = 64  # of each window that are laid out at once


def held_out_windows(config: RunConfig, tokens: Tensor) -> Tensor:
    """The windows of one held-out split, [E, W]: evenly spaced, not overlapping, as long as in training."""
    if not len(tokens):
        return torch.empty(0, config.training.span, dtype=tokens.dtype)
    length = config.training.span
    positions = evaluation_positions(len(tokens), length, config.evaluation.windows)
    return windows(tokens, positions, length)


def final_losses(
    configs: Sequence[RunConfig],
    states: Sequence[RunState],
    splits: Splits[Tensor],
    vocabulary_size: int,
    device: torch.device,
    max_threads: int,
) -> list[dict[str, float]]:
    """The losses of each run on the parts of the text, nats per symbol: validation, test, and others of its regime.

    All runs have one group key.
    """
    model = make_cohort(
        [config.model for config in configs], [state.parameters for state in states], vocabulary_size, device
    )
    limit_threads(model, max_threads)
    if isinstance(model, RecurrentCohort):
        trainings = [config.training for config in configs if isinstance(config.training, BpttSettings)]
        windows_of_each = configs[0].evaluation.windows
        seeds = [config.seed for config in configs]
        return split_losses(model, trainings, seeds, splits, windows_of_each, max_threads)
    assert isinstance(model, GatedCohort)
    return _online_losses(model, configs, splits, max_threads)


def _online_losses(
    model: GatedCohort, configs: Sequence[RunConfig], splits: Splits[Tensor], max_threads: int
) -> list[dict[str, float]]:
    """Validation and test loss of each run of the online regime, nats per symbol; state zero at a window's start.

    The mean goes over every prediction of every window, summed in float64.
    """
    validation_EW = held_out_windows(configs[0], splits.validation)
    test_EW = held_out_windows(configs[0], splits.test)
    mean_ME = _stepwise(model, torch.cat([validation_EW, test_EW]).to(model.device, torch.int64), max_threads)
    n_validation = len(validation_EW)
    validation = mean_ME[:, :n_validation].mean(dim=1).tolist()
    if not len(test_EW):
        return [{"validation": loss} for loss in validation]
    test = mean_ME[:, n_validation:].mean(dim=1).tolist()
    return [{"validation": v, "test": t} for v, t in zip(validation, test, strict=True)]


def _stepwise(model: GatedCohort, windows_EW: Tensor, max_threads: int) -> Tensor:
    """The mean loss over the predictions of each window, [M, E]; the windows are read side by side."""
    (E, W), M = windows_EW.shape, model.n_models
    step = OnlineForward(model, E)
    forward_pass = ForwardPass(
        step.run,
        step.inputs,
        lambda: step.loss_MB,
        hidden=step.hidden,
        native=kernels_on(model.device) == "native",
        max_threads=max_threads,
    )
    total_ME = torch.zeros(M, E, dtype=torch.float64, device=model.device)
    for first in range(0, W - 1, _SYMBOLS_AT_ONCE):
        symbols_KME = windows_EW[:, first : first + _SYMBOLS_AT_ONCE + 1].T.unsqueeze(1).expand(-1, M, -1)
        keep_KM = torch.ones(len(symbols_KME) - 1, M, device=model.device)
        if first == 0:
            keep_KM[0] = 0.0
        total_ME += forward_pass(step.data(symbols_KME[:-1], symbols_KME[1:], keep_KM)).double().sum(dim=0)
    return total_ME / (W - 1)


def result_of(config: RunConfig, state: RunState, losses: Mapping[str, float], vocabulary_size: int) -> dict[str, Any]:
    """The result that the table keeps; `losses` are those of `final_losses`, none for a run that diverged.

    Losses in nats per symbol, `..._bits_per_character` in bits per symbol. `min_loss` is the published metric of the
    dynamics experiment: the minimum of the recorded curve of the training loss's moving average.
    """
    result: dict[str, Any] = {
        "min_loss": min(state.curve_ema_loss, default=None),
        "final_loss": state.curve_ema_loss[-1] if state.curve_ema_loss else None,
    }
    for part in ("validation", "test"):
        loss = losses.get(part)
        result[f"{part}_loss"] = loss
        result[f"{part}_bits_per_character"] = None if loss is None else loss / math.log(2)
    if isinstance(config.training, BpttSettings):
        result |= _bptt_result(config.training, state, losses)
    return result | {
        "parameters": count_parameters(config.model, vocabulary_size),
        "diverged_at_step": state.diverged_at_step,
    }


def _bptt_result(training: BpttSettings, state: RunState, losses: Mapping[str, float]) -> dict[str, Any]:
    """What this regime adds: the moving average at the very end, epoch and training losses, perplexities."""
    ended_well = state.diverged_at_step is None and state.step > 0
    result: dict[str, Any] = {"final_loss": debiased(state.ema_loss, state.step) if ended_well else None}
    result["training_loss"] = losses.get("training")
    if training.steps_per_epoch is not None:
        result["epoch_loss"] = state.epoch_loss
    if training.held_out_share or training.held_out_next:
        result["held_out_loss"] = losses.get("held_out")
    named = {"validation_loss": losses.get("validation"), "test_loss": losses.get("test"), **result}
    for name in ("training", "epoch", "held_out", "validation", "test"):
        if f"{name}_loss" in named:
            result[f"{name}_perplexity"] = _perplexity(named[f"{name}_loss"])
    return result


def _perplexity(loss: float | None) -> float | None:
    # Beyond that it is no finite number, which JSON has no word for.
    return None if loss is None or loss > 700 else math.exp(loss)
