"""The experiment file: its tables, and how a TOML text becomes a validated Experiment."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from rnnlab.errors import SpecError
from rnnlab.spec.allowed_values import Use, check_uses, legal_values
from rnnlab.spec.code import CodeFile, check_code
from rnnlab.spec.published_runs import PublishedRun, Reproduction
from rnnlab.spec.run_config import RunConfig, parse_run_config, place_settings
from rnnlab.spec.setting_schema import DEFAULT_CELL, DEFAULT_REGIME, Kinds, two_regimes, unfit, unknown_kind
from rnnlab.spec.settings import (
    ByteSettings,
    CorpusSettings,
    Count,
    EvaluationSettings,
    Scalar,
    Seed,
    Settings,
    Sha256,
    SplitSettings,
    TokenizerSettings,
)
from rnnlab.spec.toml_format import shown, spelled, spelled_list
from rnnlab.spec.validation_errors import first_complaint

FIRST_ROUND = "explore"
EVALUATION_WINDOWS = "evaluation.windows"  # what a scale may replace beside settings of runs
_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"

Condition = dict[str, Scalar | list[Scalar]]


class CorpusChoice(Settings):
    """The corpus an experiment asks for: a registered name or a file, and optionally the hash it must have."""

    name: Annotated[str, Field(min_length=1)]
    """A name from `rnnlab data list`, or a file, in the working directory or beside the experiment file."""
    sha256: Sha256 | None = None
    """Insists on its contents."""


class SkipRule(Settings):
    """Points of the grid that are left out: those where every named setting has (one of) the given value(s)."""

    when: Condition = Field(min_length=1)
    """Axis = value, or list of values; all must match."""
    because: str = ""
    """For people."""


class Adjustment(Settings):
    """What is set beside the grid where its point matches: all axes that `when` names have (one of) the values."""

    when: Condition = Field(min_length=1)
    """Axis = value, or list of values; all must match."""
    set: dict[str, Scalar] = Field(min_length=1)
    """Setting = value, for settings that go with an axis."""


class Variant(Settings):
    """One way to change a selected run: `set` these settings, but only `when` it matches (always, if left out)."""

    set: dict[str, Scalar] = Field(default_factory=dict)
    """Setting = value."""
    when: Condition = Field(default_factory=dict)
    """Setting = value, or list of values."""


class Selection(Settings):
    """Which runs of the round before go on: exactly one rule, on a result that is better when lower."""

    by: str = "min_loss"
    """A result; lower is better."""
    best_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """The best so large a share of the runs, rounded down, but never to none."""
    top: Count | None = None
    """The best so many."""
    below: float | None = None
    """All with a result lower than that."""
    pareto: Literal["parameters", "seconds"] | None = None
    """Those that no run beats both in the result and in this."""

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
        """How many of `available` finished runs `top` or `best_fraction` select; at least one where there is any."""
        if self.top is not None:
            return min(self.top, available)
        assert self.best_fraction is not None
        # The nudge keeps 0.1 * 430 = 43.000000000000004 and 0.29 * 100 = 28.999999999999996 at what a person means.
        return min(available, max(1, int(self.best_fraction * available + 1e-9)))

    def in_words(self, found: tuple[int, int] | None = None) -> str:
        """The selected runs in a sentence. found: how many there are, of how many; None: nobody knows yet."""
        count = "" if found is None else f"{found[0]:,} of {found[1]:,} "
        if self.below is not None:
            return f"the {count}runs with {self.by} below {self.below:g}"
        if self.pareto is not None:
            return f"the {count}runs that none beats in both {self.by} and {self.pareto}"
        share = "" if self.best_fraction is None else f"{100 * self.best_fraction:g}%"
        if found is None:
            return f"the best {share or self.top} by {self.by}"
        return f"the best {count}runs by {self.by}" + (f" ({share})" if share else "")


class NextRound(Settings):
    """A later round: select runs of the round before, set, vary, keep, and repeat over seeds."""

    name: Annotated[str, Field(pattern=_NAME)]
    """Lower-case letters, digits, `-` and `_`; not `explore`, which is the grid."""
    select: Selection
    """Which runs go on."""
    set: dict[str, Scalar] = Field(default_factory=dict)
    """Setting = value, for all of them."""
    vary: list[Variant] = Field(default_factory=lambda: [Variant()], min_length=1)
    """Each of these changes applied to each of them; left out: as they are."""
    keep: Condition = Field(default_factory=dict)
    """After varying, only configs with these settings stay."""
    seeds: Count | None = None
    """Each config is repeated over so many fresh seeds."""


class AnalysisSettings(Settings):
    """What the tables and pictures are about."""

    metric: str = "min_loss"
    """The result that decides; lower is better."""
    threshold: float | None = None
    """Runs below it get a picture of their own."""
    threshold_meaning: str = ""
    """What being below says about a run: "the memory is in use"."""
    focus: dict[str, Scalar] = Field(default_factory=dict)
    """Setting = value: effects are also shown among the runs with these settings."""


class Experiment(Settings):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=_NAME)]
    """Lower-case letters, digits, `-` and `_`, at most 64: the folder, and the name in the job table."""
    title: str = ""
    """One line for people."""
    corpus: CorpusChoice
    """A name from `rnnlab data list`, a file, or a table with a hash to insist on."""
    tokenizer: TokenizerSettings = ByteSettings()
    """`{ kind = "..." }`: bytes, characters, letters or bpe."""
    split: SplitSettings = SplitSettings()
    """Training, validation and test text."""
    code: dict[Sha256, CodeFile] = Field(default_factory=dict)
    """The text of a file with own cells, by its hash, as `rnnlab best` prints it; nobody writes it by hand."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How much text a run is evaluated on."""
    seed: Seed = 0
    """Of the first round."""
    model: dict[str, Scalar]
    """Settings of the model that all runs share."""
    training: dict[str, Scalar]
    """Settings of the training that all runs share."""
    grid: dict[str, list[Scalar]]
    """Setting = list of values; every combination is a run."""
    skip: list[SkipRule] = Field(default_factory=list)
    """Points of the grid to leave out."""
    adjust: list[Adjustment] = Field(default_factory=list)
    """What is set beside the grid at some of its points."""
    rounds: list[NextRound] = Field(default_factory=list)
    """What follows from the results of the grid."""
    analysis: AnalysisSettings = AnalysisSettings()
    """What the report is about."""
    reproduction: Reproduction | None = None
    """Published runs to compare with."""
    scale: dict[str, dict[str, dict[str, Scalar]]] = Field(default_factory=dict)
    """Reduced sizes by name: setting = { "full value" = smaller value }."""

    @field_validator("corpus", mode="before")
    @classmethod
    def _corpus_may_be_a_name(cls, value: Any) -> Any:
        if not isinstance(value, str | dict | CorpusChoice):
            raise ValueError(f"{shown(value)} is no corpus: give a name, a file, or {{ name = ..., sha256 = ... }}")
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _settings_fit(self) -> "Experiment":
        kinds = self.kinds
        check_code(self.code, kinds.cells)
        if complaint := unknown_kind(kinds):
            raise ValueError(complaint)
        for cell in kinds.cells:
            complaints = [unfit(cell, regime) for regime in kinds.regimes]
            if all(complaints):
                raise ValueError(two_regimes(kinds.cells) or complaints[0])
        if not self.grid:
            raise ValueError("[grid] is empty: give at least one axis, for example state_size = [32, 64]")
        check_uses(kinds, self.uses())
        given = {**self.model, **self.training, **self.grid}
        for table, other, own in (
            ("model", "training", kinds.model_fields),
            ("training", "model", kinds.training_fields),
        ):
            for name in getattr(self, table).keys() - own.keys():
                where = "an axis of [grid], or the key atop the file" if name == "seed" else f"in [{other}]"
                raise ValueError(f"{table}.{name}: {name} is given {where}, not in [{table}]")
            for name, field in own.items():
                adjusted = any(name in rule.set for rule in self.adjust)
                if field.is_required() and name not in given and not adjusted:
                    raise ValueError(f"{table}.{name} is missing: give it there, or make it an axis of [grid]")
        return self

    @model_validator(mode="after")
    def _axes_fit(self) -> "Experiment":
        for axis, values in self.grid.items():
            if len(set(legal_values(self.kinds, Use(f"grid.{axis}", axis, values)))) < len(values):
                raise ValueError(f"grid.{axis} names a value twice: {spelled_list(values)}")
            if axis in self.model or axis in self.training:
                raise ValueError(f"{axis} is an axis of [grid] and a fixed setting too: leave one of them out")
        conditions = [(f"skip entry {number}", rule.when) for number, rule in enumerate(self.skip, start=1)]
        conditions += [(f"adjust entry {number}", rule.when) for number, rule in enumerate(self.adjust, start=1)]
        for where, condition in conditions:
            for axis in condition:
                if axis not in self.grid:
                    raise ValueError(
                        f"{where}: when.{axis}: no axis of [grid] is called so; axes are {', '.join(self.grid)}"
                    )
        for number, adjustment in enumerate(self.adjust, start=1):
            for name in adjustment.set.keys() & self.grid.keys():
                raise ValueError(f"adjust entry {number}: set.{name}: {name} is an axis of [grid]: skip points instead")
        if len(set(self.round_names)) < len(self.round_names):
            raise ValueError(
                f"rounds are {', '.join(self.round_names)}: each must have a name of its own, and "
                f"the first, the grid, is {FIRST_ROUND}"
            )
        return self

    @cached_property
    def kinds(self) -> Kinds:
        """The cells and the regimes of the runs, fixed, axes of the grid, or those of published runs."""
        cells = [*(self.grid.get("cell") or [self.model.get("cell", DEFAULT_CELL)])]
        cells += [run.set["cell"] for run in self._published if "cell" in run.set]
        regimes = self.grid.get("regime") or [self.training.get("regime", DEFAULT_REGIME)]
        return Kinds(tuple(dict.fromkeys(cells)), tuple(regimes))

    @property
    def _published(self) -> list[PublishedRun]:
        return [] if self.reproduction is None else self.reproduction.runs

    def uses(self) -> Iterator[Use]:
        """Every place of the file that gives values to settings of a run."""
        tables: list[tuple[str, Mapping[str, Scalar | list[Scalar]]]] = [
            ("grid.", self.grid),
            ("model.", self.model),
            ("training.", self.training),
            ("analysis.focus.", self.analysis.focus),
        ]
        tables += [(f"skip entry {number}: when.", rule.when) for number, rule in enumerate(self.skip, start=1)]
        for number, adjustment in enumerate(self.adjust, start=1):
            tables += [(f"adjust entry {number}: when.", adjustment.when)]
            tables += [(f"adjust entry {number}: set.", adjustment.set)]
        for next_round in self.rounds:
            where = f"round {next_round.name}: "
            tables += [(f"{where}set.", next_round.set), (f"{where}keep.", next_round.keep)]
            for number, variant in enumerate(next_round.vary, start=1):
                tables += [(f"{where}vary entry {number}: set.", variant.set)]
                tables += [(f"{where}vary entry {number}: when.", variant.when)]
        tables += [(f"reproduction run {run.name!r}: set.", run.set) for run in self._published]
        for scale, swaps in self.scale.items():
            of_runs = {name: list(swap.values()) for name, swap in swaps.items() if name != EVALUATION_WINDOWS}
            tables += [(f"scale.{scale}.", of_runs)]
        for prefix, table in tables:
            for name, value in table.items():
                yield Use(f"{prefix}{name}", name, value if isinstance(value, list) else [value])

    @property
    def round_names(self) -> list[str]:
        """All rounds in order; the first is the grid itself."""
        return [FIRST_ROUND, *(next_round.name for next_round in self.rounds)]

    def run_config(self, corpus: CorpusSettings, point: dict[str, Scalar]) -> RunConfig:
        """The run config at one point of the grid, on a corpus that was found.

        Raises SpecError for settings that do not go together.
        """
        document: dict[str, Any] = {
            "corpus": corpus.model_dump(),
            **{name: getattr(self, name).model_dump() for name in ("tokenizer", "split", "evaluation")},
            "model": dict(self.model),
            "training": dict(self.training),
            "seed": self.seed,
        }
        try:
            place_settings(document, point)
            return parse_run_config(document)
        except SpecError as error:
            where = ", ".join(f"{name} = {spelled(value)}" for name, value in point.items())
            raise SpecError(f"experiment {self.name}, at {where}: {error}") from error


def parse_experiment(document: dict[str, Any], source: str) -> Experiment:
    """An experiment from a parsed TOML document; `source` names it in complaints.

    Raises SpecError, in one line, naming the key, the value and what is allowed.
    """
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise SpecError(f"{source}: {first_complaint(error, Experiment)}") from error


def renamed(experiment: Experiment, name: str) -> Experiment:
    """The same experiment under another name. Raises SpecError for a name that is not allowed."""
    return parse_experiment({**experiment.model_dump(), "name": name}, f"the name {name!r}")
