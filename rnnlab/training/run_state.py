"""The state of one run between two optimiser steps: all that is needed to go on, bit for bit.

Shapes: L layers, B batch rows, S state size.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rnnlab.models.gated import parameter_shapes
from rnnlab.models.initialise import initial_parameters
from rnnlab.spec.run_config import RunConfig

EMA_DECAY = 0.95
EMA_START_NATS = 3.0


@dataclass(frozen=True)
class RunState:
    """One run after `step` optimiser steps; tensors lie on the CPU, in float32."""

    parameters: dict[str, Tensor]
    first_moments: dict[str, Tensor]  # Adam's m, shaped like the parameters
    second_moments: dict[str, Tensor]  # Adam's v
    hidden_LBS: Tensor  # state of each layer; not used at a window's start, where the state is zero
    step: int = 0
    ema_loss: float = EMA_START_NATS  # nats per symbol; starts at log(V) where V is above 256
    curve_steps: list[int] = field(default_factory=list)
    curve_ema_loss: list[float] = field(default_factory=list)  # nats per symbol
    diverged_at_step: int | None = None  # the first step whose loss was NaN or infinite

    def recorded(self, losses: list[float], record_every: int) -> "RunState":
        """This state's curve, EMA and step counter after steps with these losses; tensors are left as they are.

        The EMA starts at 3 nats and decays by 0.95 a step, in float64; each `record_every` steps it is recorded. At
        the first loss that is not finite the curve ends.
        """
        ema, step = self.ema_loss, self.step
        steps, values = list(self.curve_steps), list(self.curve_ema_loss)
        for loss in losses:
            step += 1
            if not math.isfinite(loss):
                return replace(self, step=step, curve_steps=steps, curve_ema_loss=values, diverged_at_step=step)
            ema = EMA_DECAY * ema + (1 - EMA_DECAY) * loss
            if step % record_every == 0:
                steps.append(step)
                values.append(ema)
        return replace(self, step=step, ema_loss=ema, curve_steps=steps, curve_ema_loss=values)

    def is_finished(self, config: RunConfig) -> bool:
        """Whether nothing is left to train."""
        return self.diverged_at_step is not None or self.step >= config.target_steps


def fresh_state(config: RunConfig, vocabulary_size: int) -> RunState:
    """The state before the first step: a pure function of the config."""
    parameters = initial_parameters(parameter_shapes(config.model, vocabulary_size), config.seed)
    zeros = {name: torch.zeros_like(value) for name, value in parameters.items()}
    # With more symbols than bytes, an average that began at 3 nats, below the loss of knowing nothing, would have its
    # minimum there.
    ema_loss = EMA_START_NATS if vocabulary_size <= 256 else math.log(vocabulary_size)
    return RunState(
        ema_loss=ema_loss,
        parameters=parameters,
        first_moments=zeros,
        second_moments={name: value.clone() for name, value in zeros.items()},
        hidden_LBS=torch.zeros(config.model.n_layers, config.training.batch_size, config.model.state_size),
    )
