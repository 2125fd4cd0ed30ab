"""The result of a finished run, which goes into the job table."""

import math
from collections.abc import Mapping
from typing import Any

from rnnlab.models.factory import count_parameters
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.run_state import RunState, debiased


def result_of(config: RunConfig, state: RunState, losses: Mapping[str, float], vocabulary_size: int) -> dict[str, Any]:
    """The result for the job table. `losses` are those of `final_losses`, empty for a run that diverged.

    Losses are in nats per symbol, `..._bits_per_character` in bits per symbol. `min_loss` is the published metric of
    the dynamics experiment: the minimum of the recorded curve of the training loss's moving average.
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
    """The entries of the BPTT regime: moving average after the last step, epoch and training losses, perplexities."""
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
    # Beyond 700 the perplexity is not a finite float, which JSON cannot express.
    return None if loss is None or loss > 700 else math.exp(loss)
