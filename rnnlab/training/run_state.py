"""The state of one run between two optimizer steps: everything that is needed to continue it, bit for bit.

Shapes: L layers, B batch rows, S state size.
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rnnlab.models.factory import parameter_shapes
from rnnlab.models.initialization import initial_parameters
from rnnlab.models.own_cells import cell_class
from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.spec.regime_settings import BpttSettings, OnlineSettings, TrainingSettings
from rnnlab.spec.run_config import RunConfig

# Online regime, as published with the dynamics experiment: an average that starts at 3 nats.
EMA_DECAY = 0.95
EMA_START_NATS = 3.0
# BPTT regime, as published with the unrolled experiment: an average that starts at 0 and is divided by the total weight
# of the losses in it.
DEBIASED_DECAY = 0.98


@dataclass(frozen=True)
class RunState:
    """One run after `step` optimizer steps. Tensors are on the CPU, in float32."""

    parameters: dict[str, Tensor]  # by the names of `parameter_shapes`
    first_moments: dict[str, Tensor]  # Adam's m, shaped like the parameters; empty with SGD
    second_moments: dict[str, Tensor]  # Adam's v; empty with SGD
    hidden_LBS: Tensor  # state of each layer (two of each LSTM layer) if it is carried from step to step; else L = 0
    step: int = 0  # optimizer steps done; >= 0
    ema_loss: float = EMA_START_NATS  # nats per symbol; starts at log(V) where V is above 256
    curve_steps: list[int] = field(default_factory=list)  # steps at which the average was recorded, ascending
    curve_ema_loss: list[float] = field(default_factory=list)  # nats per symbol
    diverged_at_step: int | None = None  # the first step whose loss was NaN or infinite
    epoch_sum: float = 0.0  # sum of the losses of the current epoch; 0 without epochs
    epoch_loss: float | None = None  # mean of the batch losses of the last complete epoch, nats per symbol

    def recorded(self, losses: list[float], training: TrainingSettings) -> "RunState":
        """This state with curve, averages and step counter after steps with these losses; tensors are unchanged.

        Computed in float64. The moving average is recorded every `record_every` steps. The curve ends at the first loss
        that is not finite.
        """
        online = isinstance(training, OnlineSettings)
        decay = EMA_DECAY if online else DEBIASED_DECAY
        per_epoch = None if isinstance(training, OnlineSettings) else training.steps_per_epoch
        ema, step, epoch_sum, epoch_loss = self.ema_loss, self.step, self.epoch_sum, self.epoch_loss
        steps, values = list(self.curve_steps), list(self.curve_ema_loss)
        diverged_at_step = None
        for loss in losses:
            step += 1
            if not math.isfinite(loss):
                diverged_at_step = step
                break
            ema = decay * ema + (1 - decay) * loss
            if step % training.record_every == 0:
                steps.append(step)
                values.append(ema if online else debiased(ema, step))
            if per_epoch is not None:
                epoch_sum += loss
                if step % per_epoch == 0:
                    epoch_sum, epoch_loss = 0.0, epoch_sum / per_epoch
        return replace(
            self,
            step=step,
            ema_loss=ema,
            curve_steps=steps,
            curve_ema_loss=values,
            diverged_at_step=diverged_at_step,
            epoch_sum=epoch_sum,
            epoch_loss=epoch_loss,
        )

    def is_finished(self, config: RunConfig) -> bool:
        """Whether the run has reached its last step or diverged."""
        return self.diverged_at_step is not None or self.step >= config.target_steps


def debiased(ema_loss: float, step: int) -> float:
    """The moving average of the BPTT regime after `step` >= 1 steps, corrected for its start at 0."""
    return float(ema_loss / (1 - DEBIASED_DECAY**step))


def fresh_state(config: RunConfig, vocabulary_size: int) -> RunState:
    """The state before the first step: a pure function of the config."""
    parameters = initial_parameters(parameter_shapes(config.model, vocabulary_size), config.seed)
    moments = {} if config.training.optimizer == "sgd" else parameters
    online = isinstance(config.training, OnlineSettings)
    # With more symbols than bytes, an average that starts at 3 nats starts below the loss of a uniform prediction, and
    # would have its minimum there.
    start = EMA_START_NATS if vocabulary_size <= 256 else math.log(vocabulary_size)
    return RunState(
        parameters=parameters,
        first_moments={name: torch.zeros_like(value) for name, value in moments.items()},
        second_moments={name: torch.zeros_like(value) for name, value in moments.items()},
        hidden_LBS=torch.zeros(_carried_tensors(config), config.training.batch_size, config.model.state_size),
        ema_loss=start if online else 0.0,
    )


def _carried_tensors(config: RunConfig) -> int:
    if isinstance(config.model, GatedSettings):
        return config.model.n_layers
    carried = isinstance(config.training, BpttSettings) and config.training.carry_state
    return config.model.n_layers * cell_class(config.model.cell).n_states if carried else 0
