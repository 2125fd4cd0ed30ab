"""Losses of finished runs of any regime."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnlab.data.splits import Splits
from rnnlab.models.factory import make_cohort
from rnnlab.models.gated.gated_cohort import GatedCohort
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import limit_threads
from rnnlab.training.evaluation.bptt_losses import bptt_losses
from rnnlab.training.evaluation.online_losses import online_losses
from rnnlab.training.run_state import RunState


def final_losses(
    configs: Sequence[RunConfig],
    states: Sequence[RunState],
    splits: Splits[Tensor],
    vocabulary_size: int,
    device: torch.device,
    max_threads: int,
) -> list[dict[str, float]]:
    """The losses of each run on the parts of the text, nats per symbol: validation, test, and others of its regime.

    All runs must have the same group key.
    """
    model = make_cohort(
        [config.model for config in configs], [state.parameters for state in states], vocabulary_size, device
    )
    limit_threads(model, max_threads)
    if isinstance(model, RecurrentCohort):
        trainings = [config.training for config in configs if isinstance(config.training, BpttSettings)]
        seeds = [config.seed for config in configs]
        return bptt_losses(model, trainings, seeds, splits, configs[0].evaluation.windows, max_threads)
    assert isinstance(model, GatedCohort)
    return online_losses(model, configs, splits, max_threads)
