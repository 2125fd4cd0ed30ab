"""The tables of an experiment file, apart from the settings of runs."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from rnnlab.spec.settings import Count, Scalar, Settings, Sha256

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,63}$"

Condition = dict[str, Scalar | list[Scalar]]


class CorpusChoice(Settings):
    """The corpus of an experiment: a registered name or a file, and optionally the required hash."""

    name: Annotated[str, Field(min_length=1)]
    """A name from `rnnlab data list`, or a file, in the working directory or in the folder of the experiment file."""
    sha256: Sha256 | None = None
    """SHA-256 of the contents. If given, any other text is an error."""


class SkipRule(Settings):
    """Points of the grid to leave out: those at which every setting in `when` has one of the given values."""

    when: Condition = Field(min_length=1)
    """Axis = value, or list of values. All entries must match."""
    because: str = ""
    """Reason, shown by `rnnlab init --dry-run`."""


class Adjustment(Settings):
    """Settings to add at some points of the grid: those at which every axis in `when` has one of the given values."""

    when: Condition = Field(min_length=1)
    """Axis = value, or list of values. All entries must match."""
    set: dict[str, Scalar] = Field(min_length=1)
    """Setting = value, for settings that depend on an axis."""


class Variant(Settings):
    """One change to a selected run: apply `set` if the run matches `when`. Without `when`: always."""

    set: dict[str, Scalar] = Field(default_factory=dict)
    """Setting = value."""
    when: Condition = Field(default_factory=dict)
    """Setting = value, or list of values."""


class Selection(Settings):
    """Selection of runs of the previous round, by exactly one rule. Lower results are better."""

    by: str = "min_loss"
    """Metric. Lower is better."""
    best_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Select this fraction of the runs, the best ones. The number is rounded down, but is at least one."""
    top: Count | None = None
    """Select this number of best runs."""
    below: float | None = None
    """Select all runs with a result below this value."""
    pareto: Literal["parameters", "seconds"] | None = None
    """Select the Pareto front: runs that no other run beats in both the metric and this quantity."""

    @model_validator(mode="after")
    def _one_rule(self) -> "Selection":
        rules = ("best_fraction", "top", "below", "pareto")
        given = [name for name in rules if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of {', '.join(rules[:-1])} and {rules[-1]}, not {' and '.join(given) or 'none'}"
            )
        return self

    def count(self, available: int) -> int:
        """How many of `available` finished runs `top` or `best_fraction` selects; at least one if there are any."""
        if self.top is not None:
            return min(self.top, available)
        assert self.best_fraction is not None
        # The epsilon undoes rounding errors: 0.1 * 430 = 43.000000000000004 and 0.29 * 100 = 28.999999999999996.
        return min(available, max(1, int(self.best_fraction * available + 1e-9)))

    def describe(self, found: tuple[int, int] | None = None) -> str:
        """The selection in words. found: numbers of selected and of available runs; None: not known yet."""
        count = "" if found is None else f"{found[0]:,} of {found[1]:,} "
        if self.below is not None:
            return f"the {count}runs with {self.by} below {self.below:g}"
        if self.pareto is not None:
            return f"the {count}runs on the Pareto front of {self.by} and {self.pareto}"
        share = "" if self.best_fraction is None else f"{100 * self.best_fraction:g}%"
        if found is None:
            return f"the best {share or self.top} by {self.by}"
        return f"the best {count}runs by {self.by}" + (f" ({share})" if share else "")


class RoundRule(Settings):
    """A later round: select runs of the previous round, apply `set` and `vary`, filter by `keep`, repeat with seeds."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Lower-case letters, digits, `-` and `_`. The name `explore` is reserved for the grid."""
    select: Selection
    """Runs to select from the previous round."""
    set: dict[str, Scalar] = Field(default_factory=dict)
    """Setting = value, for all selected runs."""
    vary: list[Variant] = Field(default_factory=lambda: [Variant()], min_length=1)
    """Changes; each is applied to each selected run. Default: no change."""
    keep: Condition = Field(default_factory=dict)
    """Condition for the configs after `set` and `vary`; others are dropped."""
    seeds: Count | None = None
    """Number of new seeds with which each config is repeated."""


class AnalysisSettings(Settings):
    """Settings of the tables and plots."""

    metric: str = "min_loss"
    """Metric that ranks the runs. Lower is better."""
    threshold: float | None = None
    """Runs below this value get an additional plot."""
    threshold_meaning: str = ""
    """Meaning of a value below the threshold, for example "the memory is in use"."""
    about: Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)] = Field(
        default_factory=list
    )
    """Settings that the question is about, axes of the grid: the report gives their effects first."""
    focus: dict[str, Scalar] = Field(default_factory=dict)
    """Setting = value. Effects are also shown for the subset of runs with these settings."""
