"""The experiment file: its tables, and how a TOML text becomes a validated Experiment."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from rnnlab.errors import SpecError
from rnnlab.spec.run_config import RunConfig, first_complaint, parse_run_config, place_setting, setting_names
from rnnlab.spec.settings import (
    CELL_SETTINGS,
    CorpusSettings,
    Count,
    EvaluationSettings,
    Scalar,
    Seed,
    Settings,
    SplitSettings,
    TokenizerSettings,
)

FIRST_ROUND = "explore"
_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"

Condition = dict[str, Scalar | list[Scalar]]


class CorpusChoice(Settings):
    """The corpus an experiment asks for: a registered name or a file, and optionally the hash it must have."""

    name: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class SkipRule(Settings):
    """Points of the grid that are left out: those where every named setting has (one of) the given value(s)."""

    when: Condition = Field(min_length=1)
    because: str = ""


class Variant(Settings):
    """One way to change a selected run: `set` these settings, but only `when` it matches (always, if left out)."""

    set: dict[str, Scalar] = Field(default_factory=dict)
    when: Condition = Field(default_factory=dict)


class Selection(Settings):
    """Which runs of the round before go on: the best fraction (rounded down) or the best `top`, by a result."""

    by: str = "min_loss"
    best_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    top: Count | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> "Selection":
        if (self.best_fraction is None) == (self.top is None):
            raise ValueError("give exactly one of best_fraction and top")
        return self

    def count(self, available: int) -> int:
        """How many of `available` finished runs are selected; at least one where there is any."""
        if self.top is not None:
            return min(self.top, available)
        assert self.best_fraction is not None
        # The nudge keeps 0.1 * 430 = 43.000000000000004 and 0.29 * 100 = 28.999999999999996 at what a person means.
        return min(available, max(1, int(self.best_fraction * available + 1e-9)))


class NextRound(Settings):
    """A later round: select runs of the round before, set, vary, keep, and repeat over seeds."""

    name: Annotated[str, Field(pattern=_NAME)]
    select: Selection
    set: dict[str, Scalar] = Field(default_factory=dict)
    vary: list[Variant] = Field(default_factory=lambda: [Variant()], min_length=1)
    keep: Condition = Field(default_factory=dict)  # after varying, only configs that match stay
    seeds: Count | None = None  # repeat each config over this many fresh seeds


class AnalysisSettings(Settings):
    """What the tables and pictures are about."""

    metric: str = "min_loss"  # nats per symbol, lower is better
    threshold: float | None = None  # runs below it get a picture of their own
    threshold_meaning: str = ""  # what being below says about a run
    focus: dict[str, Scalar] = Field(default_factory=dict)  # effects are also shown for the runs with these settings


class Experiment(Settings):
    """A whole experiment file."""

    name: Annotated[str, Field(pattern=_NAME)]
    title: str = ""
    corpus: CorpusChoice
    tokenizer: TokenizerSettings = TokenizerSettings()
    split: SplitSettings = SplitSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    seed: Seed = 0
    model: dict[str, Scalar]  # fixed settings of the model; the rest comes from the grid
    training: dict[str, Scalar]  # fixed settings of the training
    grid: dict[str, list[Scalar]]  # setting -> values; every combination is a run, but for the skip rules
    skip: list[SkipRule] = Field(default_factory=list)
    rounds: list[NextRound] = Field(default_factory=list)
    analysis: AnalysisSettings = AnalysisSettings()
    scale: dict[str, dict[str, dict[str, Scalar]]] = Field(default_factory=dict)  # see scaled()

    @field_validator("corpus", mode="before")
    @classmethod
    def _corpus_may_be_a_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _names_are_known(self) -> "Experiment":
        cell = self.model.get("cell", "gated")
        if cell not in CELL_SETTINGS:
            raise ValueError(f"model.cell = {cell!r}: known cells are {', '.join(sorted(CELL_SETTINGS))}")
        known = setting_names(str(cell))
        named = [(f"grid.{axis}", axis) for axis in self.grid]
        named += [(f"model.{name}", name) for name in self.model]
        named += [(f"training.{name}", name) for name in self.training]
        for next_round in self.rounds:
            where = f"round {next_round.name}"
            named += [(f"{where}: set.{name}", name) for name in next_round.set]
            named += [(f"{where}: keep.{name}", name) for name in next_round.keep]
            for variant in next_round.vary:
                named += [(f"{where}: vary.{name}", name) for name in (*variant.set, *variant.when)]
        named += [(f"analysis.focus.{name}", name) for name in self.analysis.focus]
        named += [(f"scale.{scale}.{name}", name) for scale, table in self.scale.items() for name in table]
        for where, name in named:
            if name not in known:
                raise ValueError(f"{where}: unknown setting {name!r}; cell {cell!r} knows {', '.join(known)}")
        if not self.grid:
            raise ValueError("[grid] is empty: give at least one axis, for example state_size = [32, 64]")
        for axis, values in self.grid.items():
            if not values:
                raise ValueError(f"grid.{axis} is empty: give at least one value")
            if len({(type(value), value) for value in values}) < len(values):
                raise ValueError(f"grid.{axis} names a value twice: {values}")
            if axis in self.model or axis in self.training:
                raise ValueError(f"{axis} is an axis of [grid] and a fixed setting too: leave one of them out")
        for rule in self.skip:
            for axis in rule.when:
                if axis not in self.grid:
                    raise ValueError(
                        f"skip rule {rule.when}: {axis!r} is not an axis of [grid]; axes are {', '.join(self.grid)}"
                    )
        names = [FIRST_ROUND, *(next_round.name for next_round in self.rounds)]
        if len(set(names)) < len(names):
            raise ValueError(f"rounds have names of their own (the first is {FIRST_ROUND!r}): {names}")
        return self

    @property
    def round_names(self) -> list[str]:
        """All rounds in order; the first is the grid itself."""
        return [FIRST_ROUND, *(next_round.name for next_round in self.rounds)]

    def run_config(self, corpus: CorpusSettings, point: dict[str, Scalar]) -> RunConfig:
        """The run config at one point of the grid, on a corpus that was found.

        Raises SpecError for an illegal value.
        """
        document: dict[str, Any] = {
            "corpus": corpus.model_dump(),
            "tokenizer": self.tokenizer.model_dump(),
            "split": self.split.model_dump(),
            "evaluation": self.evaluation.model_dump(),
            "model": dict(self.model),
            "training": dict(self.training),
            "seed": self.seed,
        }
        for name, value in point.items():
            place_setting(document, name, value)
        return parse_run_config(document)

    def scaled(self, scale: str) -> "Experiment":
        """The same experiment at another size: each table of `[scale.NAME]` maps old values of a setting to new ones.

        The values are replaced wherever the setting stands (grid, rules, rounds), so the shape of the experiment stays.
        Raises SpecError if the file has no such scale.
        """
        if scale not in self.scale:
            known = ", ".join(sorted(self.scale)) or "none"
            raise SpecError(f"experiment {self.name} has no scale {scale!r}: known scales are {known}")
        table = self.scale[scale]

        def swap(name: str, value: Scalar) -> Scalar:
            return table.get(name, {}).get(str(value), value)

        def walk(node: Any) -> Any:
            if isinstance(node, dict):
                return {name: _swap_entry(name, entry) for name, entry in node.items()}
            return [walk(entry) for entry in node] if isinstance(node, list) else node

        def _swap_entry(name: str, entry: Any) -> Any:
            if isinstance(entry, dict):
                return walk(entry)
            if isinstance(entry, list) and all(isinstance(value, Scalar) for value in entry):
                return [swap(name, value) for value in entry]
            return swap(name, entry) if isinstance(entry, Scalar) else walk(entry)

        document = self.model_dump(exclude={"scale"})
        return parse_experiment({**walk(document), "name": f"{self.name}-{scale}"}, f"scale {scale} of {self.name}")


def parse_experiment(document: dict[str, Any], source: str) -> Experiment:
    """An experiment from a parsed TOML document; `source` names it in complaints.

    Raises SpecError, in one line, naming the key, the value and what is allowed.
    """
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        raise SpecError(f"{source}: {first_complaint(error)}") from error


def renamed(experiment: Experiment, name: str) -> Experiment:
    """The same experiment under another name. Raises SpecError for a name that is not allowed."""
    return parse_experiment({**experiment.model_dump(), "name": name}, f"the name {name!r}")


def load_experiment(path: Path) -> Experiment:
    """Read and validate an experiment file.

    Raises SpecError, in one line, if it cannot be read, is no TOML, or is not valid.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"experiment file {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not a TOML file: {error}") from error
    return parse_experiment(document, str(path))
