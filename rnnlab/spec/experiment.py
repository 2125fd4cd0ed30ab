"""The experiment file: validates a parsed TOML document and makes run configs of it."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from rnnlab.errors import SpecError
from rnnlab.spec.allowed_values import SettingUse, allowed_values, check_setting_uses
from rnnlab.spec.code import CodeFile, check_code
from rnnlab.spec.experiment_tables import (
    NAME_PATTERN,
    Adjustment,
    AnalysisSettings,
    CorpusChoice,
    RoundRule,
    SkipRule,
)
from rnnlab.spec.published_runs import PublishedRun, Reproduction
from rnnlab.spec.run_config import RunConfig, parse_run_config, place_settings
from rnnlab.spec.setting_schema import (
    DEFAULT_CELL,
    DEFAULT_REGIME,
    SettingSchema,
    no_common_regime,
    regime_mismatch,
    unknown_cell_or_regime,
)
from rnnlab.spec.settings import (
    ByteSettings,
    CorpusSettings,
    EvaluationSettings,
    Scalar,
    Seed,
    Settings,
    Sha256,
    SplitSettings,
    TokenizerSettings,
)
from rnnlab.spec.toml_format import abbreviated, to_toml, values_to_toml
from rnnlab.spec.validation_errors import validation_message

FIRST_ROUND = "explore"
EVALUATION_WINDOWS = "evaluation.windows"  # a scale may also replace this, in addition to settings of runs


class Experiment(Settings):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Name in the job table and of the folders: lower-case letters, digits, `-` and `_`, at most 64."""
    title: str = ""
    """One line, shown in reports."""
    corpus: CorpusChoice
    """A name from `rnnlab data list`, a file, or a table with the required hash."""
    tokenizer: TokenizerSettings = ByteSettings()
    """`{ kind = "..." }`: bytes, characters, letters or bpe."""
    split: SplitSettings = SplitSettings()
    """Fractions of the text for training, validation and testing."""
    code: dict[Sha256, CodeFile] = Field(default_factory=dict)
    """Source of the files with own cells, by hash. Written by `rnnlab best`, not by hand."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """Amount of text on which runs are evaluated."""
    seed: Seed = 0
    """Seed of the runs of the first round."""
    model: dict[str, Scalar]
    """Settings of the model that are equal for all runs."""
    training: dict[str, Scalar]
    """Settings of the training that are equal for all runs."""
    grid: dict[str, list[Scalar]]
    """Setting = list of values. Every combination is a run."""
    skip: list[SkipRule] = Field(default_factory=list)
    """Points of the grid to leave out."""
    adjust: list[Adjustment] = Field(default_factory=list)
    """Additional settings at some points of the grid."""
    rounds: list[RoundRule] = Field(default_factory=list)
    """Later rounds, which depend on the results of the grid."""
    analysis: AnalysisSettings = AnalysisSettings()
    """Settings of the report."""
    reproduction: Reproduction | None = None
    """Published runs to compare with."""
    scale: dict[str, dict[str, dict[str, Scalar]]] = Field(default_factory=dict)
    """Reduced sizes by name: setting = { "full value" = smaller value }."""

    @field_validator("corpus", mode="before")
    @classmethod
    def _corpus_may_be_a_name(cls, value: Any) -> Any:
        if not isinstance(value, str | dict | CorpusChoice):
            raise ValueError(
                f"{abbreviated(value)} is not a corpus: give a name, a file, or {{ name = ..., sha256 = ... }}"
            )
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _settings_fit(self) -> "Experiment":
        schema = self.setting_schema
        check_code(self.code, schema.cells)
        if message := unknown_cell_or_regime(schema):
            raise ValueError(message)
        for cell in schema.cells:
            mismatches = [regime_mismatch(cell, regime) for regime in schema.regimes]
            if all(mismatches):
                raise ValueError(no_common_regime(schema.cells) or mismatches[0])
        if not self.grid:
            raise ValueError("[grid] is empty: give at least one axis, for example state_size = [32, 64]")
        check_setting_uses(schema, self.setting_uses())
        given = {**self.model, **self.training, **self.grid}
        for table, other, own in (
            ("model", "training", schema.model_fields),
            ("training", "model", schema.training_fields),
        ):
            for name in getattr(self, table).keys() - own.keys():
                where = "as an axis of [grid] or at the top of the file" if name == "seed" else f"in [{other}]"
                raise ValueError(f"{table}.{name}: set {name} {where}, not in [{table}]")
            for name, field in own.items():
                adjusted = any(name in rule.set for rule in self.adjust)
                if field.is_required() and name not in given and not adjusted:
                    raise ValueError(f"{table}.{name} is missing: set it, or make it an axis of [grid]")
        return self

    @model_validator(mode="after")
    def _axes_fit(self) -> "Experiment":
        for axis, values in self.grid.items():
            if len(set(allowed_values(self.setting_schema, SettingUse(f"grid.{axis}", axis, values)))) < len(values):
                raise ValueError(f"grid.{axis} contains a value twice: {values_to_toml(values)}")
            if axis in self.model or axis in self.training:
                raise ValueError(f"{axis} is both an axis of [grid] and a fixed setting: remove one of them")
        conditions = [(f"skip entry {number}", rule.when) for number, rule in enumerate(self.skip, start=1)]
        conditions += [(f"adjust entry {number}", rule.when) for number, rule in enumerate(self.adjust, start=1)]
        for where, condition in conditions:
            for axis in condition:
                if axis not in self.grid:
                    raise ValueError(
                        f"{where}: when.{axis}: [grid] has no axis of this name; axes are {', '.join(self.grid)}"
                    )
        for name in self.analysis.about:
            if name not in self.grid:
                raise ValueError(
                    f"analysis.about: {name}: [grid] has no axis of this name; axes are {', '.join(self.grid)}"
                )
        for number, adjustment in enumerate(self.adjust, start=1):
            for name in adjustment.set.keys() & self.grid.keys():
                raise ValueError(f"adjust entry {number}: set.{name}: {name} is an axis of [grid]: skip points instead")
        if len(set(self.round_names)) < len(self.round_names):
            raise ValueError(
                f"rounds are {', '.join(self.round_names)}: each round must have a unique name, and "
                f"{FIRST_ROUND} is the name of the first, the grid"
            )
        return self

    @cached_property
    def setting_schema(self) -> SettingSchema:
        """The settings of the cells and regimes of all runs: fixed, axes of the grid, or those of published runs."""
        cells = [*(self.grid.get("cell") or [self.model.get("cell", DEFAULT_CELL)])]
        cells += [run.set["cell"] for run in self._published if "cell" in run.set]
        regimes = self.grid.get("regime") or [self.training.get("regime", DEFAULT_REGIME)]
        return SettingSchema(tuple(dict.fromkeys(cells)), tuple(regimes))

    @property
    def _published(self) -> list[PublishedRun]:
        return [] if self.reproduction is None else self.reproduction.runs

    def setting_uses(self) -> Iterator[SettingUse]:
        """Every place in the file that gives values to settings of runs."""
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
                yield SettingUse(f"{prefix}{name}", name, value if isinstance(value, list) else [value])

    @property
    def round_names(self) -> list[str]:
        """The names of all rounds, in order; the first is the grid."""
        return [FIRST_ROUND, *(next_round.name for next_round in self.rounds)]

    def run_config(self, corpus: CorpusSettings, point: dict[str, Scalar]) -> RunConfig:
        """The run config at one point of the grid, on the given corpus.

        Raises SpecError for incompatible settings.
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
            where = ", ".join(f"{name} = {to_toml(value)}" for name, value in point.items())
            raise SpecError(f"experiment {self.name}, at {where}: {error}") from error


def parse_experiment(document: dict[str, Any], source: str) -> Experiment:
    """An experiment from a parsed TOML document. source: its name in error messages.

    Raises SpecError, in one line, with the key, its value and the allowed values.
    """
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise SpecError(f"{source}: {validation_message(error, Experiment)}") from error


def renamed(experiment: Experiment, name: str) -> Experiment:
    """The same experiment under another name. Raises SpecError for an invalid name."""
    return parse_experiment({**experiment.model_dump(), "name": name}, f"the name {name!r}")
