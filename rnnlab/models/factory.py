"""From the settings of a model to its program. Only this module knows every kind of model.

Shapes: M models, B batch rows, S state size, V vocabulary, U models of a subset.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from rnnlab.models.gated import gated_cohort
from rnnlab.models.gated.gated_cohort import GatedCohort
from rnnlab.models.initialization import Parameter
from rnnlab.models.model_subset import ModelSubset
from rnnlab.models.recurrent import recurrent_cohort
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort
from rnnlab.spec.cell_settings import GatedSettings, ModelSettings


class CohortModel(Protocol):
    """The interface of the models of a cohort."""

    n_models: int
    vocabulary_size: int
    parameters: dict[str, Tensor]  # [U, ...]
    subsets: dict[str, ModelSubset]  # the models that have each parameter
    smallest_product: int  # models in the smallest batch of products: with more threads than this the bits change

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """The state before the first symbol, tensors [M, B, S]."""

    def step(self, ids_MB: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One symbol: ids [M, B] and the state -> logits [M, B, V] and the next state."""


def make_cohort(
    members: Sequence[ModelSettings],
    parameters: Sequence[Mapping[str, Tensor]],
    vocabulary_size: int,
    device: torch.device,
) -> CohortModel:
    """The models of one cohort. Their settings differ only where members of a cohort may differ (`free_in_cohort`)."""
    as_gated = [one for one in members if isinstance(one, GatedSettings)]
    if as_gated:
        assert len(as_gated) == len(members)
        return GatedCohort(as_gated, parameters, vocabulary_size, device)
    others = [one for one in members if not isinstance(one, GatedSettings)]
    return RecurrentCohort(others, parameters, vocabulary_size, device)


def parameter_shapes(settings: ModelSettings, vocabulary_size: int) -> dict[str, Parameter]:
    """Name -> shape and initial values of every parameter of one model; a weight is [inputs, outputs]."""
    if isinstance(settings, GatedSettings):
        return gated_cohort.parameter_shapes(settings, vocabulary_size)
    return recurrent_cohort.parameter_shapes(settings, vocabulary_size)


def count_parameters(settings: ModelSettings, vocabulary_size: int) -> int:
    """The number of trainable parameters of one model."""
    return sum(torch.Size(one.shape).numel() for one in parameter_shapes(settings, vocabulary_size).values())
