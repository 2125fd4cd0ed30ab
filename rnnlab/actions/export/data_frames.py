"""Runs as one table, their curves as another, and both as CSV, JSON and Parquet.

The columns of the runs are those of `results_frame`, and the origin of each result:

    experiment, id, round, status, config_hash, recipe, seed      which job it is
    corpus_name, corpus_sha256, n_layers, state_size, ...         its settings
    seconds, diverged, min_loss, ..., rnnlab_version, device      its result: numbers, switches and texts
    step, target_steps, created_at, started_at, finished_at, error

The columns of the curves are id, round, step and one for each series.
"""

import io
import json
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from rnnlab.actions.export.exported_runs import ExportedRuns
from rnnlab.analysis.question import Question
from rnnlab.analysis.results_frame import INTERNAL, result_columns, results_frame
from rnnlab.analysis.runs import Runs
from rnnlab.errors import UsageError
from rnnlab.queue.job import Job, Status

_TIMES = ("created_at", "started_at", "finished_at")


def run_table(runs: ExportedRuns) -> pd.DataFrame:
    """One row per job, in the order of adding. Missing values stay missing; whole numbers stay integers.

    Times are UTC. `error` is the last line of the traceback.
    """
    jobs = runs.jobs
    frame = results_frame(jobs).drop(columns=INTERNAL)
    columns: dict[str, pd.Series[Any]] = {"experiment": pd.Series([job.experiment for job in jobs], dtype="string")}
    for name in frame.columns:
        columns[str(name)] = _typed(frame[name].tolist()) if frame[name].dtype == object else frame[name]
        if name == "corpus_name":
            columns["corpus_sha256"] = _typed([json.loads(job.payload)["corpus"].get("sha256") for job in jobs])
    for name, values in _results(jobs).items():
        # In `results_frame`, a number that shares its name with another column has this name.
        beside = f"result_{name}"
        taken = name in columns and name not in result_columns(frame)
        columns[beside if beside in columns or taken else name] = _typed(values)
    facts: dict[str, pd.Series[Any]] = {
        "step": pd.Series([job.step for job in jobs], dtype="int64"),
        "target_steps": pd.Series([job.target_steps for job in jobs], dtype="int64"),
        **{name: _times([getattr(job, name) for job in jobs]) for name in _TIMES},
        "error": _typed([(job.error or "").strip().split("\n")[-1] or None for job in jobs]),
    }
    for name, fact in facts.items():
        columns[f"job_{name}" if name in columns else name] = fact
    return pd.DataFrame(columns)


def ranked_run_table(runs: ExportedRuns) -> pd.DataFrame:
    """The rows of `run_table`, best first, with their `rank` as the first column.

    Raises UsageError for a metric that no result has.
    """
    table = run_table(runs)
    if runs.metric not in table.columns and not (table["status"] == Status.DONE.value).any():
        table[runs.metric] = math.nan  # no result has any number yet
    return Runs(table, Question(runs.metric)).ranked


def curve_table(runs: ExportedRuns) -> pd.DataFrame:
    """One row per recorded point: `id` of the job, its `round`, the optimiser `step`, and the value of each series."""
    rounds = {job.id: job.round for job in runs.jobs}
    series = list(dict.fromkeys(name for curve in runs.curves.values() for name in curve.series))
    columns: dict[str, list[Any]] = {name: [] for name in ("id", "round", "step", *series)}
    for job_id, curve in runs.curves.items():
        n_points = len(curve.steps)
        columns["id"] += [job_id] * n_points
        columns["round"] += [rounds[job_id]] * n_points
        columns["step"] += curve.steps
        for name in series:
            columns[name] += curve.series.get(name, [math.nan] * n_points)
    kinds = {"id": "int64", "round": "string", "step": "int64", **dict.fromkeys(series, "float64")}
    return pd.DataFrame(columns).astype(kinds)


def to_csv(table: pd.DataFrame) -> bytes:
    """CSV as in RFC 4180, but lines end in LF; numbers read back bit for bit."""
    return table.to_csv(index=False, lineterminator="\n").encode()


def to_json(runs: ExportedRuns) -> bytes:
    """A JSON array with one object per run, each on its own line: the columns of `run_table`, and `curve`.

    `curve` has the lists `step` and one for each series; null if a run has no curve. NaN and infinities are null too.
    """
    lines = []
    for row in run_table(runs).astype(object).to_dict("records"):
        curve = runs.curves.get(row["id"])
        document = {str(name): _json_value(value) for name, value in row.items()}
        document["curve"] = None if curve is None else {"step": curve.steps, **_finite_series(curve.series)}
        lines.append(json.dumps(document, allow_nan=False, ensure_ascii=False))
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def to_parquet(table: pd.DataFrame) -> bytes:
    """Parquet with a type for each column. Raises UsageError if pyarrow is not installed."""
    stream = io.BytesIO()
    try:
        table.to_parquet(stream, engine="pyarrow", index=False)
    except ImportError as error:
        raise UsageError(
            "--to parquet needs the package pyarrow: run `pip install 'rnnlab[parquet]'`, or give --to csv"
        ) from error
    return stream.getvalue()


def _results(jobs: Sequence[Job]) -> dict[str, list[Any]]:
    """Each field of the results -> its value for each job."""
    results = [job.result or {} for job in jobs]
    names = dict.fromkeys(name for result in results for name in result)
    return {name: [result.get(name) for result in results] for name in names}


def _typed(values: list[Any]) -> "pd.Series[Any]":
    """A column of one type with missing values: booleans, integers, floats, otherwise texts."""
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, bool) for value in present):
        return pd.Series(values, dtype="boolean")
    if any(isinstance(value, bool | str | list | dict) for value in present):
        return pd.Series([None if value is None else _text(value) for value in values], dtype="string")
    if present and all(isinstance(value, int) for value in present):
        return pd.Series(values, dtype="Int64")
    return pd.Series(values, dtype="float64")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _times(seconds: list[float | None]) -> "pd.Series[Any]":
    return pd.Series(pd.to_datetime(pd.Series(seconds, dtype="float64"), unit="s", utc=True)).dt.as_unit("us")


def _json_value(value: Any) -> Any:
    if pd.isna(value) or value in (math.inf, -math.inf):
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def _finite_series(series: Any) -> dict[str, list[float | None]]:
    return {name: [x if math.isfinite(x) else None for x in values] for name, values in series.items()}
