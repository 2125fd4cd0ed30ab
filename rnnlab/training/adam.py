"""Adam with a learning rate and a step count for each model of a cohort.

Shapes: M models, U users of a parameter (some of the M), K steps of a block.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.numerics import Users

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class CohortAdam:
    """Adam (Kingma and Ba 2015, algorithm 1), elementwise, with torch.optim.Adam's order of operations:

    m = lerp(m, g, 1 - beta1);  v = beta2 * v + (1 - beta2) * g * g
    p = p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)

    Only plain arithmetic and square roots: an element's bits do not depend on where it lies.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        users: Mapping[str, Users],
        first_moments: Mapping[str, Tensor],
        second_moments: Mapping[str, Tensor],
    ) -> None:
        """Parameters and moments are [U, ...] and are updated in place."""
        self._parameters = [parameter.detach() for parameter in parameters.values()]
        self._users = [users[name] for name in parameters]
        self._first = [first_moments[name] for name in parameters]
        self._second = [second_moments[name] for name in parameters]

    def schedule(
        self, steps_done: Sequence[int], learning_rates_KM: Sequence[Sequence[float]]
    ) -> tuple[Tensor, Tensor]:
        """The two per-model factors of the next K updates, both [K, M]: -lr / (1 - beta1^t), sqrt(1 - beta2^t).

        `steps_done` counts each model's updates so far. Computed in float64, for the whole block at once.
        """
        t_KM = [[done + k + 1 for done in steps_done] for k in range(len(learning_rates_KM))]
        # Python's scalar power, once for each t: a vectorised one may round by the position in its array.
        table = {t: (1 / (1 - BETA1**t), math.sqrt(1 - BETA2**t)) for t in set(itertools.chain.from_iterable(t_KM))}
        factor_KM = [
            [-rate * table[t][0] for rate, t in zip(rates_M, t_M, strict=True)]
            for rates_M, t_M in zip(learning_rates_KM, t_KM, strict=True)
        ]
        root_KM = [[table[t][1] for t in t_M] for t_M in t_KM]
        like = self._parameters[0]
        return (
            torch.tensor(factor_KM, dtype=like.dtype, device=like.device),
            torch.tensor(root_KM, dtype=like.dtype, device=like.device),
        )

    @torch.no_grad()
    def update(self, gradients: list[Tensor], factor_M: Tensor, root_M: Tensor) -> None:
        """One step of every model, with one row of each table of `schedule`."""
        torch._foreach_lerp_(self._first, gradients, 1 - BETA1)
        torch._foreach_mul_(self._second, BETA2)
        torch._foreach_addcmul_(self._second, gradients, gradients, 1 - BETA2)
        for parameter, users, first, second in zip(
            self._parameters, self._users, self._first, self._second, strict=True
        ):
            shape = (-1,) + (1,) * (parameter.dim() - 1)
            denominator = second.sqrt().div_(users.take(root_M).view(shape)).add_(EPSILON)
            parameter.addcdiv_(first * users.take(factor_M).view(shape), denominator)
