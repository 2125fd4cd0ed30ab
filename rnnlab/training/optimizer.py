"""The optimiser of a cohort: clipping, weight decay and the update, with settings of its own for each model.

Shapes: M models, U users of a parameter (some of the M), K steps of a block.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.numerics import Users
from rnnlab.spec.regimes import TrainingSettings
from rnnlab.training.adam import CohortAdam


class CohortOptimizer:
    """SGD, Adam and AdamW, in the order of operations of torch.optim and torch.nn.utils.clip_grad_norm_.

    Clipping: g = g * min(1, clip_norm / (|g| + 1e-6)), with |g| the norm over all parameters of one model.
    Weight decay w: SGD and Adam add w p to g; AdamW (Loshchilov and Hutter 2019) multiplies p by 1 - lr w.
    SGD: p = p - lr g. Adam: see adam.py.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        users: Mapping[str, Users],
        first_moments: Mapping[str, Tensor],
        second_moments: Mapping[str, Tensor],
        trainings: Sequence[TrainingSettings],
    ) -> None:
        """Parameters and moments are [U, ...] and are updated in place; there are no moments with SGD."""
        self._parameters = [parameter.detach() for parameter in parameters.values()]
        self._users = [users[name] for name in parameters]
        self._trainings = list(trainings)
        kind = trainings[0].optimizer
        self._adam = None if kind == "sgd" else CohortAdam(parameters, users, first_moments, second_moments)
        # Where all values are zero the operation is left out, as it would change no bit of any model.
        self._clips = any(one.clip_norm for one in trainings)
        self._shrinks = kind == "adamw" and any(one.weight_decay for one in trainings)
        self._adds_decay = kind != "adamw" and any(one.weight_decay for one in trainings)
        self._clip_M = self._vector([one.clip_norm or math.inf for one in trainings])
        self._decay_M = self._vector([one.weight_decay for one in trainings])

    def plan(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Prepare the next `n_steps` updates; `steps_done` counts each model's updates so far."""
        rates_KM = [
            [one.learning_rate_at(done + k) for one, done in zip(self._trainings, steps_done, strict=True)]
            for k in range(n_steps)
        ]
        if self._adam is not None:
            self._factors_KM, self._roots_KM = self._adam.schedule(steps_done, rates_KM)
        else:
            self._factors_KM = self._vector([[-rate for rate in rates_M] for rates_M in rates_KM])
        if self._shrinks:
            decays = [one.weight_decay for one in self._trainings]
            self._shrink_KM = self._vector(
                [[1 - rate * decay for rate, decay in zip(rates_M, decays, strict=True)] for rates_M in rates_KM]
            )

    @torch.no_grad()
    def update(self, k: int, gradients: list[Tensor]) -> None:
        """Update k of those prepared, of every model. The gradients are [U, ...], as the parameters."""
        if self._clips:
            gradients = self._scaled(gradients, self._clip_factor(gradients))
        if self._adds_decay:
            decays = self._scaled(self._parameters, self._decay_M)
            gradients = [gradient + decay for gradient, decay in zip(gradients, decays, strict=True)]
        if self._shrinks:
            for parameter, shrunk in zip(
                self._parameters, self._scaled(self._parameters, self._shrink_KM[k]), strict=True
            ):
                parameter.copy_(shrunk)
        if self._adam is not None:
            self._adam.update(gradients, self._factors_KM[k], self._roots_KM[k])
        else:
            torch._foreach_add_(self._parameters, self._scaled(gradients, self._factors_KM[k]))

    def _clip_factor(self, gradients: Sequence[Tensor]) -> Tensor:
        """What each model's gradient is multiplied with, [M]; exactly 1 where it is short enough or not clipped."""
        total_M = torch.zeros_like(self._clip_M)
        for gradient, users in zip(gradients, self._users, strict=True):
            total_M = users.add(total_M, gradient.flatten(1).square().sum(dim=1))
        factor_M = (self._clip_M / (total_M.sqrt() + 1e-6)).clamp(max=1.0)
        return torch.where(self._clip_M.isinf(), torch.ones_like(factor_M), factor_M)

    def _scaled(self, tensors: Sequence[Tensor], factor_M: Tensor) -> list[Tensor]:
        return [
            tensor * users.take(factor_M).view((-1,) + (1,) * (tensor.dim() - 1))
            for tensor, users in zip(tensors, self._users, strict=True)
        ]

    def _vector(self, numbers: Sequence[float] | Sequence[Sequence[float]]) -> Tensor:
        like = self._parameters[0]
        return torch.tensor(numbers, dtype=like.dtype, device=like.device)
