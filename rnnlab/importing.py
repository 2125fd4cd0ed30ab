"""Results that were computed elsewhere: a CSV file becomes finished jobs of a round."""

import csv
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.errors import UsageError
from rnnlab.planning import Plan, new_jobs
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import NextRound
from rnnlab.spec.run_config import RunConfig, setting_names
from rnnlab.spec.settings import CELL_SETTINGS, Scalar, TrainingSettings

_SECONDS = "seconds"
_SWITCHES = {"0": False, "1": True, "false": False, "true": True}


@dataclass(frozen=True)
class Imported:
    """What `import_results` did."""

    rows: int  # rows of the file
    added: int  # jobs that were not in the table before
    repeated: int  # rows that repeat a config of the file: they count as further seeds


def import_results(store: Store, plan: Plan, round_name: str, path: Path) -> Imported:
    """Add the rows of a CSV file as finished jobs of a round.

    Columns named like settings make the config, on top of what the experiment fixes and what the round sets; `seconds`
    is the time in training; every other column becomes part of the result. Without a `seed` column, rows with equal
    settings count as further seeds. All rows are added, or none.

    Raises UsageError or SpecError, in one line, for a file that cannot be read, a column or a value that does not fit.
    """
    rules = {rule.name: rule for rule in plan.experiment.rounds}
    if round_name not in plan.experiment.round_names:
        raise UsageError(
            f"--round {round_name}: the rounds of the experiment are {', '.join(plan.experiment.round_names)}"
        )
    rule = rules.get(round_name)
    settings = [name for name in setting_names(str(plan.experiment.model.get("cell", "gated"))) if name != "cell"]
    rows = _read(path)
    _check_columns(path, list(rows[0]), settings, list(plan.experiment.grid), plan)
    seen: Counter[str] = Counter()
    configs: list[RunConfig] = []
    outcomes: list[tuple[dict[str, Any], float]] = []
    for number, row in enumerate(rows, start=2):
        where = f"{path}, line {number}"
        point = {name: _setting(name, row[name], where) for name in settings if name in row}
        config = plan.experiment.run_config(plan.corpus, {**point, **(rule.set if rule else {})})
        if "seed" not in row:
            config = _next_seed(config, seen, rule)
        configs.append(config)
        result = {name: _value(text) for name, text in row.items() if name not in settings and name != _SECONDS}
        outcomes.append((result | {"imported_from": path.name}, _seconds(row, where)))
    jobs = new_jobs(configs)
    items = [(job, result, seconds) for job, (result, seconds) in zip(jobs, outcomes, strict=True)]
    added = store.add_finished(plan.experiment.name, plan.json, round_name, items)
    return Imported(len(rows), added, sum(count - 1 for count in seen.values()))


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream, strict=True))
    except OSError as error:
        raise UsageError(f"results file {path} cannot be read: {error.strerror or error}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not a CSV file: {error}") from error
    if not rows:
        raise UsageError(f"{path} has no rows: give a CSV file with a header line and a line for each run")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise UsageError(f"{path}, line {number}: has another number of fields than the header")
    return rows


def _check_columns(path: Path, columns: list[str], settings: list[str], axes: list[str], plan: Plan) -> None:
    missing = [axis for axis in axes if axis not in columns]
    if missing:
        raise UsageError(
            f"{path} lacks the column {missing[0]!r}: experiment {plan.experiment.name} varies {', '.join(axes)}"
        )
    metric = plan.experiment.analysis.metric
    if metric not in columns:
        raise UsageError(f"{path} lacks the column {metric!r}, the metric of experiment {plan.experiment.name}")
    assert set(axes) <= set(settings)


def _setting(name: str, text: str, where: str) -> Scalar:
    fields = {
        **TrainingSettings.model_fields,
        **{n: f for c in CELL_SETTINGS.values() for n, f in c.model_fields.items()},
    }
    annotation = fields[name].annotation if name in fields else int  # the one setting without a table is the seed
    readers: dict[object, tuple[Callable[[str], Scalar], str]] = {
        bool: (lambda given: _SWITCHES[given.strip().lower()], "0, 1, true or false"),
        int: (int, "a whole number"),
        float: (float, "a number"),
    }
    read, wanted = readers.get(annotation, (str, "a text"))
    try:
        return read(text)
    except (KeyError, ValueError) as error:
        raise UsageError(f"{where}: {name} = {text!r}, but {wanted} is expected") from error


def _next_seed(config: RunConfig, seen: Counter[str], rule: NextRound | None) -> RunConfig:
    repeat = seen[config.hash]
    seen[config.hash] += 1
    first = 1 if rule is not None and rule.seeds is not None else 0  # as the round itself would count
    return config.with_settings({"seed": config.seed + first + repeat}) if first + repeat else config


def _value(text: str) -> float | int | str | None:
    if not text:
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return text


def _seconds(row: dict[str, str], where: str) -> float:
    text = row.get(_SECONDS) or "0"
    try:
        seconds = float(text)
    except ValueError as error:
        raise UsageError(f"{where}: seconds = {text!r}, but a number is expected") from error
    return seconds
