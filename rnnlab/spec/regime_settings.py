"""The settings of each training regime: what one optimiser step sees, how many steps there are, how fast they learn."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from rnnlab.spec.schedule import Stage, parse_schedule
from rnnlab.spec.settings import Count, Scalar, Settings

BatchSize = Annotated[int, Field(ge=1, le=1_048_576)]
Precision = Literal["float32", "tf32"]
MaybeCount = Annotated[int, Field(ge=0, le=1_000_000_000)]  # 0: not given


def _is_schedule(text: str) -> str:
    if text:
        parse_schedule(text)
    return text


Schedule = Annotated[str, AfterValidator(_is_schedule)]  # "": not given


class OnlineSettings(Settings):
    """Online regime: the state is carried on and detached at every symbol, one optimiser step a symbol.

    A window of `window_length` symbols gives `window_length - 1` predictions, hence as many optimiser steps.
    """

    free_in_cohort: ClassVar[frozenset[str]] = frozenset({"windows", "learning_rate", "record_every"})
    came_later: ClassVar[dict[str, Scalar]] = {"precision": "float32"}
    weight_decay: ClassVar[float] = 0.0
    clip_norm: ClassVar[float] = 0.0
    duration_name: ClassVar[str] = "windows"

    regime: Literal["online"] = "online"
    batch_size: BatchSize
    """Windows read side by side."""
    window_length: Annotated[int, Field(ge=2, le=100_000_000)]
    """Symbols of a random window; it gives one step fewer. The state is zero at its start."""
    windows: Count
    """How many windows, one after the other."""
    optimizer: Literal["adam"] = "adam"
    """Adam with betas 0.9 and 0.999, epsilon 1e-8."""
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Of every step."""
    record_every: Count = 50
    """Optimiser steps between two points of the curve."""
    precision: Precision = "float32"
    """Of matrix products in training. `tf32`: on a GPU they round their factors to 10 bits and are several times as
    fast; a CPU has no such products and computes them as with `float32`."""

    @property
    def span(self) -> int:
        """Symbols that one window covers, the last target included."""
        return self.window_length

    @property
    def steps_per_window(self) -> int:
        """Optimiser steps made on one window: one a prediction."""
        return self.window_length - 1

    @property
    def target_steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.windows * self.steps_per_window

    @property
    def train_tokens_needed(self) -> int:
        """The shortest training split that this can be trained on."""
        return self.span

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of the optimiser step after `step` steps."""
        return self.learning_rate


class BpttSettings(Settings):
    """Truncated back-propagation through time: one optimiser step a batch of windows of `block_size` symbols.

    Not called window_length, as that counts the last target too: a window covers block_size + 1 symbols. The windows
    of an epoch are the first `epoch_windows` of the training split, so that the length of a run follows from its
    settings alone, whatever the text.
    """

    free_in_cohort: ClassVar[frozenset[str]] = frozenset(
        {
            "iterations",
            "epochs",
            "schedule",
            "learning_rate",
            "weight_decay",
            "clip_norm",
            "record_every",
        }
    )
    came_later: ClassVar[dict[str, Scalar]] = {"precision": "float32"}

    regime: Literal["bptt"]
    batch_size: BatchSize
    """Windows of an optimiser step."""
    block_size: Annotated[int, Field(ge=1, le=1_000_000)]
    """Symbols that a window feeds to the network; the last target is one more."""
    sampling: Literal["random", "stride-1", "non-overlapping", "contiguous"] = "random"
    """Which windows. `stride-1` and `non-overlapping` are shuffled each epoch; with `contiguous` each row of the batch
    reads its own stretch of the text."""
    epoch_windows: MaybeCount = 0
    """Windows of an epoch: the first so many of the training split. Required, but with `random`, which knows none."""
    held_out_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """So large a random share of them is not trained on but evaluated: `held_out_loss`."""
    held_out_next: MaybeCount = 0
    """So many windows that follow them are evaluated likewise."""
    carry_state: bool = False
    """From window to window of an epoch (`contiguous` only); else each begins with the start state."""
    loss_at: Literal["every", "last"] = "every"
    """Positions of a window that have a loss."""
    iterations: MaybeCount = 0
    """How long a run is, in optimiser steps; this, `epochs` or `schedule` must be given."""
    epochs: MaybeCount = 0
    """How long a run is, in epochs."""
    schedule: Schedule = ""
    """Epochs with their learning rates, "1@1e-2,1@1e-3"."""
    learning_rate: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Required where there is no schedule."""
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """As in torch.optim."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Left out: 0.01 with adamw, else 0."""
    clip_norm: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    """Largest norm of a model's gradient; 0: no clipping."""
    record_every: Count = 50
    """Optimiser steps between two points of the curve."""
    precision: Precision = "float32"
    """Of matrix products in training. `tf32`: on a GPU they round their factors to 10 bits and are several times as
    fast; a CPU has no such products and computes them as with `float32`."""

    @model_validator(mode="before")
    @classmethod
    def _default_decay(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("optimizer") == "adamw":
            return {"weight_decay": 0.01, **given}
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> "BpttSettings":
        if (self.iterations > 0) + (self.epochs > 0) + (self.schedule != "") != 1:
            raise ValueError("give exactly one of iterations, epochs and schedule: how long a run trains")
        if (self.learning_rate > 0) == (self.schedule != ""):
            raise ValueError("give either learning_rate or schedule")
        if self.sampling == "random":
            if self.iterations == 0:
                raise ValueError('sampling = "random" knows no epochs: give iterations, or another sampling')
            if self.epoch_windows or self.held_out_share or self.held_out_next:
                raise ValueError(
                    'sampling = "random" takes no epoch_windows, held_out_share and held_out_next: leave them out, or '
                    "give another sampling"
                )
        elif self.epoch_windows == 0:
            raise ValueError(f'sampling = "{self.sampling}" needs epoch_windows: how many windows make an epoch')
        if self.n_trained < 1:
            raise ValueError(f"held_out_share = {self.held_out_share:g} leaves no window to train on")
        if self.sampling == "contiguous":
            if self.epoch_windows % self.batch_size:
                raise ValueError(
                    f'epoch_windows = {self.epoch_windows}: with sampling = "contiguous" it must be a multiple of '
                    f"batch_size = {self.batch_size}, as each row of the batch reads its own stretch of the text"
                )
            if self.held_out_share:
                raise ValueError('held_out_share: with sampling = "contiguous" there can be no gaps, leave it out')
        elif self.carry_state:
            raise ValueError('carry_state = true needs sampling = "contiguous": windows that follow each other')
        return self

    @property
    def span(self) -> int:
        """Symbols that one window covers, the last target included."""
        return self.block_size + 1

    @property
    def duration_name(self) -> str:
        """The setting that says how long a run is."""
        return "iterations" if self.iterations else "epochs" if self.epochs else "schedule"

    @property
    def n_held_out(self) -> int:
        """How many of an epoch's windows are held out at random."""
        return round(self.held_out_share * self.epoch_windows)

    @property
    def n_trained(self) -> int:
        """Windows that an epoch trains on; random windows know no epochs: one, for the sake of it."""
        return self.epoch_windows - self.n_held_out if self.epoch_windows else 1

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimiser steps of an epoch, the last on what is left of the windows; None for random windows."""
        return None if self.sampling == "random" else math.ceil(self.n_trained / self.batch_size)

    @property
    def stages(self) -> list[Stage]:
        """The schedule; empty where there is none."""
        return parse_schedule(self.schedule) if self.schedule else []

    @property
    def target_steps(self) -> int:
        """Optimiser steps of the whole run."""
        epochs = self.epochs or sum(stage.epochs for stage in self.stages)
        return self.iterations or epochs * (self.steps_per_epoch or 0)

    @property
    def stride(self) -> int:
        """Symbols between the starts of two neighbouring windows."""
        return self.block_size if self.sampling in ("non-overlapping", "contiguous") else 1

    @property
    def train_tokens_needed(self) -> int:
        """The shortest training split that this can be trained on."""
        n_windows = max(1, self.epoch_windows + self.held_out_next)
        return (n_windows - 1) * self.stride + self.span

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of the optimiser step after `step` steps; past the schedule's end, that of its end."""
        if not self.stages:
            return self.learning_rate
        epoch = step // (self.steps_per_epoch or 1)
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage.learning_rate
            epoch -= stage.epochs
        return self.stages[-1].learning_rate


TrainingSettings = OnlineSettings | BpttSettings

# The name written in `regime = "..."` -> its table of settings.
REGIME_SETTINGS: dict[str, type[OnlineSettings | BpttSettings]] = {"online": OnlineSettings, "bptt": BpttSettings}
