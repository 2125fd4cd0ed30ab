"""The optimizer of a cohort: clipping, weight decay and the update, with separate settings for each model.

Shapes: K steps of a block, M models, U models of a subset.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from rnnlab.models.model_subset import ModelSubset
from rnnlab.spec.regime_settings import TrainingSettings

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
# torch's fused Adam updates this many numbers at a time, and the remainder with other code, whose bits differ.
_VECTOR_ELEMENTS = 16


@dataclass
class _Group:
    """The slices of parameters, as flat tensors, with one learning rate and one weight decay."""

    learning_rate: float
    weight_decay: float
    parameters: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)
    first: list[Tensor] = field(default_factory=list)
    second: list[Tensor] = field(default_factory=list)
    steps: list[Tensor] = field(default_factory=list)


class _Updates(NamedTuple):
    """The update of one step."""

    kind: int  # equal for updates that do the same to the same memory
    groups: list[_Group]


class CohortOptimizer:
    """SGD, Adam and AdamW, with the semantics of torch.optim and torch.nn.utils.clip_grad_norm_.

    Clipping: g = g * min(1, clip_norm / (|g| + 1e-6)), with |g| the norm over all parameters of one model.
    Weight decay w: SGD and Adam add w p to g; AdamW (Loshchilov and Hutter 2019) multiplies p by 1 - lr w.
    SGD: p = p - lr g. Adam (Kingma and Ba 2015, algorithm 1): torch's fused kernel, which reads and writes each number
    once. Neighbors with equal settings and equal step counts are one slice. If a parameter's size is not a multiple of
    the kernel's vector, each model has its own slice, so that the remainder is at the end of each model's numbers and
    its bits do not depend on its neighbors.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        subsets: Mapping[str, ModelSubset],
        first_moments: Mapping[str, Tensor],
        second_moments: Mapping[str, Tensor],
        trainings: Sequence[TrainingSettings],
    ) -> None:
        """Parameters, gradients and moments are [U, ...] and are updated in place. SGD has no moments."""
        self._names = list(parameters)
        self._users = [subsets[name] for name in self._names]
        self._parameters = [parameters[name].detach() for name in self._names]
        self._gradients = [gradients[name] for name in self._names]
        self._trainings = list(trainings)
        self._kind = trainings[0].optimizer
        self._moments = [] if self._kind == "sgd" else [first_moments, second_moments]
        # Without clipping in any model the operation is left out: it would change no bit.
        self._clips = any(one.clip_norm for one in trainings)
        like = self._parameters[0]
        clips = [one.clip_norm or math.inf for one in trainings]
        self._clip_M = torch.tensor(clips, dtype=like.dtype, device=like.device)
        self._kinds = itertools.count()
        self._same_as_M: list[int] = []  # for each model, the first model with the same settings and step count

    def tensors(self) -> list[tuple[ModelSubset, list[Tensor]]]:
        """For each parameter: its models, and the tensors [U, ...]: itself, its gradient and its moments."""
        kinds = [dict(zip(self._names, kind, strict=True)) for kind in (self._parameters, self._gradients)]
        kinds += [dict(kind) for kind in self._moments]
        return [
            (subsets, [kind[name] for kind in kinds]) for name, subsets in zip(self._names, self._users, strict=True)
        ]

    def plan(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Prepare the next `n_steps` updates; `steps_done` counts each model's updates so far."""
        rates_MK = [
            tuple(one.learning_rate_at(done + k) for k in range(n_steps))
            for one, done in zip(self._trainings, steps_done, strict=True)
        ]
        decays_M = [one.weight_decay for one in self._trainings]
        # Everything that an update depends on. Models that have it in common have it in common for the whole block.
        settings_M = list(zip(rates_MK, decays_M, steps_done, strict=True))
        same_as_M = [settings_M.index(one) for one in settings_M]
        if same_as_M != self._same_as_M:
            self._same_as_M = same_as_M
            self._slice_tensors()
        self._updates_K = [
            self._grouped([(rates_MK[m][k], decays_M[m]) for m in self._model_of]) for k in range(n_steps)
        ]
        for model, step in zip(self._model_of, self._steps, strict=True):
            step.fill_(steps_done[model])

    def kind_of(self, k: int) -> int:
        """A number that is equal for updates that do the same to the same memory."""
        return self._updates_K[k].kind

    @torch.no_grad()
    def update(self, k: int) -> None:
        """Do update k of those prepared, for every model."""
        if self._clips:
            self._clip()
        if self._kind != "sgd":
            torch._foreach_add_(self._steps, 1.0)
        for group in self._updates_K[k].groups:
            self._update(group)

    def _update(self, group: _Group) -> None:
        if self._kind == "sgd":
            if group.weight_decay:
                torch._foreach_add_(group.gradients, group.parameters, alpha=group.weight_decay)
            torch._foreach_add_(group.parameters, group.gradients, alpha=-group.learning_rate)
            return
        fused = torch._fused_adamw_ if self._kind == "adamw" else torch._fused_adam_
        fused(
            group.parameters,
            group.gradients,
            group.first,
            group.second,
            [],
            group.steps,
            lr=group.learning_rate,
            beta1=BETA1,
            beta2=BETA2,
            weight_decay=group.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def _slice_tensors(self) -> None:
        """Cut the tensors into slices, each with its own step count."""
        self._model_of: list[int] = []  # for each slice, one of its models
        self._slices: list[list[Tensor]] = []  # for each slice: parameter, gradient, moments
        self._updates: dict[tuple[tuple[float, float], ...], _Updates] = {}
        for name, subsets, parameter, gradient in zip(
            self._names, self._users, self._parameters, self._gradients, strict=True
        ):
            tensors = [parameter, gradient, *(moments[name] for moments in self._moments)]
            whole = parameter[0].numel() % _VECTOR_ELEMENTS == 0
            for _, group in itertools.groupby(
                range(len(subsets)), key=lambda row: (self._same_as_M[subsets.members[row]], None if whole else row)
            ):
                rows = list(group)
                cut = slice(rows[0], rows[-1] + 1)
                self._model_of.append(subsets.members[rows[0]])
                self._slices.append([tensor[cut].view(-1) for tensor in tensors])
        device = self._parameters[0].device
        self._steps = [torch.zeros((), dtype=torch.float32, device=device) for _ in self._slices]

    def _grouped(self, settings: Sequence[tuple[float, float]]) -> _Updates:
        """The slices grouped by learning rate and weight decay; `settings` has both for each slice."""
        cached = self._updates.get(tuple(settings))
        if cached is not None:
            return cached
        groups = {key: _Group(*key) for key in settings}
        for key, tensors, step in zip(settings, self._slices, self._steps, strict=True):
            group = groups[key]
            lists = [group.parameters, group.gradients, group.first, group.second]
            for slices, tensor in zip(lists, tensors, strict=False):
                slices.append(tensor)
            group.steps.append(step)
        self._updates[tuple(settings)] = _Updates(next(self._kinds), list(groups.values()))
        return self._updates[tuple(settings)]

    def _clip(self) -> None:
        """Scale each model's gradients: by exactly 1 if their norm is small enough or the model does not clip."""
        total_M = torch.zeros_like(self._clip_M)
        for gradient, subsets in zip(self._gradients, self._users, strict=True):
            total_M = subsets.add(total_M, gradient.flatten(1).square().sum(dim=1))
        factor_M = (self._clip_M / (total_M.sqrt() + 1e-6)).clamp(max=1.0)
        factor_M = torch.where(self._clip_M.isinf(), torch.ones_like(factor_M), factor_M)
        for gradient, subsets in zip(self._gradients, self._users, strict=True):
            gradient.mul_(subsets.take(factor_M).view((-1,) + (1,) * (gradient.dim() - 1)))
