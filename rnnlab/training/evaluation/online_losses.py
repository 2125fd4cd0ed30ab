"""Losses of runs of the online regime on held-out windows.

Shapes: K symbols of each window, read one in each step, M models, E windows of an evaluation (validation windows, then
test windows), W symbols of a window with its last target.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnlab.data.batches import evaluation_positions, windows
from rnnlab.data.splits import Splits
from rnnlab.kernels.build import kernels_on
from rnnlab.models.gated.gated_cohort import GatedCohort
from rnnlab.models.gated.online_step import OnlineForward
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.evaluation.forward_pass import ForwardPass

_CALL_SYMBOLS = 64  # of each window, in one call


def held_out_windows(config: RunConfig, tokens: Tensor) -> Tensor:
    """The windows of one held-out split, [E, W]: evenly spaced, without overlap, as long as in training."""
    if not len(tokens):
        return torch.empty(0, config.training.span, dtype=tokens.dtype)
    length = config.training.span
    positions = evaluation_positions(len(tokens), length, config.evaluation.windows)
    return windows(tokens, positions, length)


def online_losses(
    model: GatedCohort, configs: Sequence[RunConfig], splits: Splits[Tensor], max_threads: int
) -> list[dict[str, float]]:
    """Validation and test loss of each run of the online regime, nats per symbol. Each window starts with state zero.

    The mean is over all predictions of all windows, summed in float64.
    """
    validation_EW = held_out_windows(configs[0], splits.validation)
    test_EW = held_out_windows(configs[0], splits.test)
    mean_ME = _window_losses(model, torch.cat([validation_EW, test_EW]).to(model.device, torch.int64), max_threads)
    n_validation = len(validation_EW)
    validation = mean_ME[:, :n_validation].mean(dim=1).tolist()
    if not len(test_EW):
        return [{"validation": loss} for loss in validation]
    test = mean_ME[:, n_validation:].mean(dim=1).tolist()
    return [{"validation": v, "test": t} for v, t in zip(validation, test, strict=True)]


def _window_losses(model: GatedCohort, windows_EW: Tensor, max_threads: int) -> Tensor:
    """The mean loss over the predictions of each window, [M, E]. The windows are the rows of one batch."""
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
    for first in range(0, W - 1, _CALL_SYMBOLS):
        symbols_KME = windows_EW[:, first : first + _CALL_SYMBOLS + 1].T.unsqueeze(1).expand(-1, M, -1)
        keep_KM = torch.ones(len(symbols_KME) - 1, M, device=model.device)
        if first == 0:
            keep_KM[0] = 0.0
        total_ME += forward_pass(step.data(symbols_KME[:-1], symbols_KME[1:], keep_KM)).double().sum(dim=0)
    return total_ME / (W - 1)
