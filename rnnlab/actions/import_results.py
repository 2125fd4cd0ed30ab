"""Imports results computed elsewhere: the rows of a CSV file become finished jobs of a round."""

import csv
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.errors import SpecError, UsageError
from rnnlab.plans.enqueue import new_jobs, prepare_to_enqueue
from rnnlab.plans.plan import Plan
from rnnlab.queue.job import IMPORTED_FROM, SEED_COLUMN, SEED_COUNT, SEED_SOURCE, Status
from rnnlab.queue.store import Store
from rnnlab.spec.experiment_tables import RoundRule
from rnnlab.spec.grid import adjustments
from rnnlab.spec.run_config import RunConfig, parse_run_config
from rnnlab.spec.settings import Scalar

_SECONDS = "seconds"
_SWITCHES = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True)
class Results:
    """A validated results file, ready to be added to a round."""

    plan: Plan
    round_name: str
    runs: list[tuple[RunConfig, dict[str, Any], float]]  # config, result, seconds in training
    repeated: int  # rows with the settings of an earlier row, which count as further seeds


@dataclass(frozen=True)
class Imported:
    """The outcome of `add_results`."""

    added: int  # jobs that were not in the table before
    unfinished: int  # jobs in the table that are not done: they are not changed


@dataclass(frozen=True)
class _Row:
    where: str  # file and line, for messages
    fields: dict[str, str]


def read_results(plan: Plan, round_name: str, path: Path) -> Results:
    """Read the rows of a CSV file as finished jobs of a round.

    Columns named like settings make the config, in addition to the fixed settings and adjustments of the experiment and
    the settings of the round; an empty field means that the run does not have the setting. `seconds` is the training
    time; all other columns become part of the result. Without a `seed` column, rows with equal settings count as
    further seeds.

    Raises UsageError or SpecError, in one line, for a file that cannot be read, or an invalid column or value.
    """
    if round_name not in plan.experiment.round_names:
        raise UsageError(
            f"--round {round_name}: the rounds of the experiment are {', '.join(plan.experiment.round_names)}"
        )
    rule = next((rule for rule in plan.experiment.rounds if rule.name == round_name), None)
    rows = _read(path)
    _check_columns(path, list(rows[0].fields), plan)
    configs, repeated = _configs(rows, plan, rule)
    origin = {IMPORTED_FROM: path.name, SEED_SOURCE: SEED_COLUMN if "seed" in rows[0].fields else SEED_COUNT}
    runs = [(config, _result(row, plan) | origin, _seconds(row)) for config, row in zip(configs, rows, strict=True)]
    return Results(plan, round_name, runs, repeated)


def add_results(store: Store, results: Results) -> Imported:
    """Add either all of the results to the table or none. Existing jobs are not changed.

    Raises SpecError if the table has an incompatible experiment of the same name.
    """
    plan = prepare_to_enqueue(store, results.plan)
    corpus = plan.corpus.model_dump()
    configs = [parse_run_config({**config.model_dump(), "corpus": corpus}) for config, _, _ in results.runs]
    before = store.statuses(plan.experiment.name, results.round_name)
    unfinished = sum(before.get(config.hash, Status.DONE) is not Status.DONE for config in configs)
    items = [(job, result, seconds) for job, (_, result, seconds) in zip(new_jobs(configs), results.runs, strict=True)]
    added = store.add_finished(plan.experiment.name, plan.json, results.round_name, items, instead_of=plan.stored)
    return Imported(added, unfinished)


def _read(path: Path) -> list[_Row]:
    try:
        # Spreadsheet programs may write a byte order mark at the start of the file.
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, strict=True)
            rows = [_Row(f"{path}, line {reader.line_num}", fields) for fields in reader]
            columns = list(reader.fieldnames or [])
    except OSError as error:
        raise UsageError(f"results file {path} cannot be read: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a CSV file: {error}") from error
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise UsageError(f"{path} has the column {twice[0]!r} twice: remove one of them")
    if not rows:
        raise UsageError(f"{path} has no rows: give a CSV file with a header line and a line for each run")
    for row in rows:
        if None in row.fields or None in row.fields.values():
            raise UsageError(f"{row.where}: the number of fields differs from the header, which has {len(columns)}")
    return rows


def _check_columns(path: Path, columns: list[str], plan: Plan) -> None:
    experiment = plan.experiment
    for axis in experiment.grid:
        if axis not in columns and axis != "seed":
            raise UsageError(
                f"{path} lacks the column {axis!r}: experiment {experiment.name} varies {', '.join(experiment.grid)}"
            )
    if experiment.analysis.metric not in columns:
        raise UsageError(
            f"{path} lacks the column {experiment.analysis.metric!r}, the metric of experiment {experiment.name}"
        )


def _configs(rows: list[_Row], plan: Plan, rule: RoundRule | None) -> tuple[list[RunConfig], int]:
    """The run config of each row, all different, and the number of rows that repeat the settings of an earlier one."""
    settings = plan.experiment.setting_schema.fields
    names = [name for name in settings if name in rows[0].fields and (name != "cell" or "cell" in plan.experiment.grid)]
    fixed = rule.set if rule is not None else {}
    configs: dict[str, RunConfig] = {}
    seen: Counter[str] = Counter()
    for row in rows:
        given = [name for name in names if row.fields[name].strip() or name in plan.experiment.grid]
        point = {name: _setting(settings[name].annotation, name, row) for name in given}
        adjusted = adjustments(plan.experiment, {"seed": plan.experiment.seed, **point})
        try:
            config = plan.experiment.run_config(plan.corpus, {**fixed, **adjusted, **point})
        except SpecError as error:
            raise SpecError(f"{row.where}: {error}") from error
        if "seed" not in names:
            config = _next_seed(config, seen, rule)
        if config.hash in configs:
            raise UsageError(f"{row.where}: settings and seed repeat an earlier line: each run must be one line")
        configs[config.hash] = config
    return list(configs.values()), seen.total() - len(seen)


def _setting(kind: object, name: str, row: _Row) -> Scalar:
    readers: dict[object, tuple[Callable[[str], Scalar], str]] = {
        bool: (lambda given: _SWITCHES[given.strip().lower()], "0, 1, true or false"),
        int: (lambda given: int(_digits(given)), "a whole number"),
        float: (lambda given: float(_digits(given)), "a number"),
    }
    read, expected = readers.get(kind, (str, "a string"))
    text = row.fields[name]
    try:
        return read(text)
    except (KeyError, ValueError) as error:
        raise UsageError(f"{row.where}: {name} = {text!r}: must be {expected}") from error


def _next_seed(config: RunConfig, seen: Counter[str], rule: RoundRule | None) -> RunConfig:
    repeat = seen[config.hash]
    seen[config.hash] += 1
    first = 1 if rule is not None and rule.seeds is not None else 0  # the first seed that the round itself would use
    return config.with_settings({"seed": config.seed + first + repeat}) if first + repeat else config


def _result(row: _Row, plan: Plan) -> dict[str, Any]:
    """The columns that are not settings. Metrics of selections must be numbers, or empty for a diverged run."""
    settings = plan.experiment.setting_schema.fields
    result = {name: _value(text) for name, text in row.fields.items() if name not in settings and name != _SECONDS}
    selections = [rule.select for rule in plan.experiment.rounds]
    costs = [select.pareto for select in selections if select.pareto is not None]
    for name in (plan.experiment.analysis.metric, *(select.by for select in selections), *costs):
        if isinstance(result.get(name), str):
            raise UsageError(f"{row.where}: {name} = {result[name]!r}: must be a number or empty")
    return result


def _value(text: str) -> float | int | str | None:
    """The field as a number or a string; None for an empty field, nan and inf."""
    try:
        number = float(_digits(text))
    except ValueError:
        return text or None
    if math.isinf(number) and any(letter.isdigit() for letter in text):
        return text  # such as 90407e246758: a name that looks like a number, and overflows
    if not math.isfinite(number):
        return None
    try:
        return int(text)
    except ValueError:
        return number


def _digits(text: str) -> str:
    """The text of a number. Raises ValueError for underscores, as in 1_000, which only Python accepts."""
    if "_" in text:
        raise ValueError(text)
    return text


def _seconds(row: _Row) -> float:
    text = row.fields.get(_SECONDS) or "0"
    try:
        seconds = float(_digits(text))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise UsageError(f"{row.where}: seconds = {text!r}: must be a number of at least 0")
    return seconds
