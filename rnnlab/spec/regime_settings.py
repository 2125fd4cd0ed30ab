"""The settings of each training regime: the input of an optimizer step, the number of steps, the learning rate."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from rnnlab.spec.schedule import Stage, parse_schedule
from rnnlab.spec.settings import Count, Scalar, Settings

BatchSize = Annotated[int, Field(ge=1, le=1_048_576)]
Precision = Literal["float32", "tf32"]
OptionalCount = Annotated[int, Field(ge=0, le=1_000_000_000)]  # 0: not given


def _is_schedule(text: str) -> str:
    if text:
        parse_schedule(text)
    return text


Schedule = Annotated[str, AfterValidator(_is_schedule)]  # "": not given


class OnlineSettings(Settings):
    """Online regime: one optimizer step per symbol; the state is carried over and detached at every symbol.

    A window of `window_length` symbols gives `window_length - 1` predictions, hence as many optimizer steps.
    """

    free_in_cohort: ClassVar[frozenset[str]] = frozenset({"windows", "learning_rate", "record_every"})
    omitted_from_hash: ClassVar[dict[str, Scalar]] = {"precision": "float32"}
    weight_decay: ClassVar[float] = 0.0
    clip_norm: ClassVar[float] = 0.0
    duration_name: ClassVar[str] = "windows"

    regime: Literal["online"] = "online"
    batch_size: BatchSize
    """Windows read in parallel."""
    window_length: Annotated[int, Field(ge=2, le=100_000_000)]
    """Symbols of a random window, which gives one step fewer. The state is zero at its start."""
    windows: Count
    """Number of consecutive windows: the length of the run."""
    optimizer: Literal["adam"] = "adam"
    """Adam with betas 0.9 and 0.999, epsilon 1e-8."""
    learning_rate: Annotated[float, Field(gt=0, le=10)]
    """Learning rate of every step."""
    record_every: Count = 50
    """Optimizer steps between two points of the training curve."""
    precision: Precision = "float32"
    """Precision of matrix products in training. `tf32`: on a GPU, products round their factors to 10 bits and are
    several times as fast; a CPU does not support this and computes as with `float32`."""

    @property
    def span(self) -> int:
        """Symbols that one window covers, including the last target."""
        return self.window_length

    @property
    def steps_per_window(self) -> int:
        """Optimizer steps per window: one per prediction."""
        return self.window_length - 1

    @property
    def target_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.windows * self.steps_per_window

    @property
    def train_tokens_needed(self) -> int:
        """Minimum number of tokens of the training split."""
        return self.span

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of the optimizer step after `step` steps."""
        return self.learning_rate


class BpttSettings(Settings):
    """Truncated back-propagation through time: one optimizer step per batch of windows of `block_size` symbols.

    A window covers `block_size + 1` symbols: unlike `window_length`, `block_size` does not count the last target. The
    windows of an epoch are the first `epoch_windows` of the training split, so that the length of a run depends only on
    its settings, not on the text.
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
    omitted_from_hash: ClassVar[dict[str, Scalar]] = {"precision": "float32"}

    regime: Literal["bptt"]
    batch_size: BatchSize
    """Windows per optimizer step."""
    block_size: Annotated[int, Field(ge=1, le=1_000_000)]
    """Input symbols of a window; the last target is one more."""
    sampling: Literal["random", "stride-1", "non-overlapping", "contiguous"] = "random"
    """Choice of windows. `stride-1` and `non-overlapping` are shuffled in each epoch; with `contiguous`, each row of
    the batch reads its own section of the text."""
    epoch_windows: OptionalCount = 0
    """Windows per epoch, from the start of the training split. Required, except with `random`, which has no epochs."""
    held_out_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the windows of an epoch, chosen at random, that is evaluated (`held_out_loss`) and not trained on."""
    held_out_next: OptionalCount = 0
    """Number of windows after those of an epoch that are evaluated in the same way."""
    carry_state: bool = False
    """Carry the state from window to window of an epoch (`contiguous` only). Otherwise each window begins with the
    start state."""
    loss_at: Literal["every", "last"] = "every"
    """Positions of a window that contribute to the loss."""
    iterations: OptionalCount = 0
    """Length of the run in optimizer steps. Exactly one of `iterations`, `epochs` and `schedule` is required."""
    epochs: OptionalCount = 0
    """Length of the run in epochs."""
    schedule: Schedule = ""
    """Epochs with their learning rates, for example "1@1e-2,1@1e-3"."""
    learning_rate: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Learning rate. Required unless `schedule` is given."""
    optimizer: Literal["sgd", "adam", "adamw"] = "adam"
    """Optimizer, as in torch.optim."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Weight decay. Default: 0.01 with adamw, otherwise 0."""
    clip_norm: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    """Maximum norm of a model's gradient. 0: no clipping."""
    record_every: Count = 50
    """Optimizer steps between two points of the training curve."""
    precision: Precision = "float32"
    """Precision of matrix products in training. `tf32`: on a GPU, products round their factors to 10 bits and are
    several times as fast; a CPU does not support this and computes as with `float32`."""

    @model_validator(mode="before")
    @classmethod
    def _default_decay(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("optimizer") == "adamw":
            return {"weight_decay": 0.01, **given}
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> "BpttSettings":
        if (self.iterations > 0) + (self.epochs > 0) + (self.schedule != "") != 1:
            raise ValueError("give exactly one of iterations, epochs and schedule, the length of a run")
        if (self.learning_rate > 0) == (self.schedule != ""):
            raise ValueError("give either learning_rate or schedule")
        if self.sampling == "random":
            if self.iterations == 0:
                raise ValueError('sampling = "random" has no epochs: give iterations, or another sampling')
            if self.epoch_windows or self.held_out_share or self.held_out_next:
                raise ValueError(
                    'sampling = "random" does not support epoch_windows, held_out_share and held_out_next: remove '
                    "them, or give another sampling"
                )
        elif self.epoch_windows == 0:
            raise ValueError(f'sampling = "{self.sampling}" needs epoch_windows, the number of windows per epoch')
        if self.n_trained < 1:
            raise ValueError(f"held_out_share = {self.held_out_share:g} leaves no window to train on")
        if self.sampling == "contiguous":
            if self.epoch_windows % self.batch_size:
                raise ValueError(
                    f'epoch_windows = {self.epoch_windows}: with sampling = "contiguous" it must be a multiple of '
                    f"batch_size = {self.batch_size}, because each row of the batch reads its own section of the text"
                )
            if self.held_out_share:
                raise ValueError('held_out_share: sampling = "contiguous" does not allow gaps in the text: remove it')
        elif self.carry_state:
            raise ValueError('carry_state = true needs sampling = "contiguous", in which windows follow each other')
        return self

    @property
    def span(self) -> int:
        """Symbols that one window covers, including the last target."""
        return self.block_size + 1

    @property
    def duration_name(self) -> str:
        """The setting that gives the length of the run."""
        return "iterations" if self.iterations else "epochs" if self.epochs else "schedule"

    @property
    def n_held_out(self) -> int:
        """Number of windows of an epoch that are held out at random."""
        return round(self.held_out_share * self.epoch_windows)

    @property
    def n_trained(self) -> int:
        """Windows of an epoch that are trained on; 1 for random windows, which have no epochs."""
        return self.epoch_windows - self.n_held_out if self.epoch_windows else 1

    @property
    def steps_per_epoch(self) -> int | None:
        """Optimizer steps per epoch, the last one on the remaining windows; None for random windows."""
        return None if self.sampling == "random" else math.ceil(self.n_trained / self.batch_size)

    @property
    def stages(self) -> list[Stage]:
        """The stages of the schedule; empty without a schedule."""
        return parse_schedule(self.schedule) if self.schedule else []

    @property
    def target_steps(self) -> int:
        """Optimizer steps of the whole run."""
        epochs = self.epochs or sum(stage.epochs for stage in self.stages)
        return self.iterations or epochs * (self.steps_per_epoch or 0)

    @property
    def stride(self) -> int:
        """Symbols between the starts of two neighboring windows."""
        return self.block_size if self.sampling in ("non-overlapping", "contiguous") else 1

    @property
    def train_tokens_needed(self) -> int:
        """Minimum number of tokens of the training split."""
        n_windows = max(1, self.epoch_windows + self.held_out_next)
        return (n_windows - 1) * self.stride + self.span

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of the optimizer step after `step` steps; after the schedule, the one of its last stage."""
        if not self.stages:
            return self.learning_rate
        epoch = step // (self.steps_per_epoch or 1)
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage.learning_rate
            epoch -= stage.epochs
        return self.stages[-1].learning_rate


TrainingSettings = OnlineSettings | BpttSettings

# Value of `regime` -> table of settings.
REGIME_SETTINGS: dict[str, type[OnlineSettings | BpttSettings]] = {"online": OnlineSettings, "bptt": BpttSettings}
