"""Jobs as a table: one row a job, one column a setting or a number of the result.

The columns stand in three blocks, and `setting_columns` relies on the order:

    id, round, status, config_hash, recipe, payload, imported, seed   who the job is
    n_layers, state_size, use_forget_gate, ...                        its settings, in payload order
    seconds, diverged, min_loss, final_loss, ...                      what came of it
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.errors import UsageError
from rnnlab.files import sha256_hex
from rnnlab.queue.job import Job, Status
from rnnlab.spec.regime_settings import BpttSettings, OnlineSettings

INTERNAL = ["payload", "imported"]  # columns that tables for people do without
_IDENTITY = ["id", "round", "status", "config_hash", "recipe", *INTERNAL, "seed"]
_OUTCOME = ["seconds", "diverged"]
_ALWAYS = ["min_loss", "final_loss"]  # what every training run reports
_LARGEST = 1e150  # of a metric: sums of squares of larger ones are not finite

_SORTED = json.JSONEncoder(sort_keys=True)

KeyPath = tuple[str, ...]  # keys from the top of a payload: ("model", "n_layers")


def results_frame(jobs: Sequence[Job]) -> pd.DataFrame:
    """One row a job, in the order given.

    `recipe` is a hash of the payload without its seed: equal for replicates of one configuration. Settings of the
    tables model and training stand under their own name, those of other tables under `<table>_<name>`; lists become
    JSON text; a setting that a job does not have is None. Numbers of the result are floats, NaN where a job has none;
    texts in it (the checkpoint) are left out. `imported` says that the job was trained elsewhere: that it has the seed
    of another job does not mean that the two began alike. `diverged` says that the loss stopped being finite.
    """
    payloads = [json.loads(job.payload) for job in jobs]
    flattener = _Flattener()
    settings = [flattener.scalars(payload) for payload in _with_late_settings(payloads)]
    results = [_numbers(job.result or {}) for job in jobs]
    measured = list(dict.fromkeys([*_ALWAYS, *(name for row in results for name in row)]))
    names = _column_names(flattener.paths, measured)

    columns: dict[str, pd.Series[Any]] = {
        "id": pd.Series([job.id for job in jobs]),
        "round": pd.Series([job.round for job in jobs]),
        "status": pd.Series([job.status.value for job in jobs]),
        "config_hash": pd.Series([job.config_hash for job in jobs]),
        "recipe": pd.Series([_recipe(payload) for payload in payloads]),
        "payload": pd.Series([job.payload for job in jobs]),
        "imported": pd.Series([job.is_imported for job in jobs], dtype=bool),
        "seed": pd.Series([payload.get("seed") for payload in payloads]),
    }
    for path, name in names.items():
        columns[name] = _setting_series([row.get(path) for row in settings])
    columns["seconds"] = pd.Series([job.seconds for job in jobs], dtype=float)
    columns["diverged"] = pd.Series([(job.result or {}).get("diverged_at_step") is not None for job in jobs])
    for name in measured:
        free = f"result_{name}" if name in columns else name
        columns[free] = pd.Series([row.get(name, np.nan) for row in results], dtype=float)
    return pd.DataFrame(columns)


def _with_late_settings(payloads: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The payloads, with the settings that came later where some have them and others leave them out."""
    late = OnlineSettings.omitted_from_hash | BpttSettings.omitted_from_hash
    used = {name: late[name] for name in late if any(name in payload.get("training", {}) for payload in payloads)}
    for payload in payloads:
        yield {**payload, "training": used | payload["training"]} if used and "training" in payload else payload


def setting_columns(frame: pd.DataFrame) -> list[str]:
    """All setting columns, in payload order, the seed apart."""
    columns = [str(name) for name in frame.columns]
    return columns[columns.index(_IDENTITY[-1]) + 1 : columns.index(_OUTCOME[0])]


def factors(frame: pd.DataFrame) -> list[str]:
    """The settings that take more than one value in `frame`, in payload order, the seed apart.

    Not those that follow from the cell, alone or together with one other setting: they come and go with the cell, or an
    [[adjust]] of the experiment file sets them. Cells could else never be compared.
    """
    varying = [name for name in setting_columns(frame) if len(levels(frame[name])) > 1]
    if "cell" not in varying:
        return varying
    # Configurations count, not their seeds. Levels as integers; a setting that a job does not have is a level too.
    configs = frame.drop_duplicates("recipe")
    codes = {name: pd.Series(pd.factorize(configs[name])[0], index=configs.index) for name in varying}
    return [name for name in varying if name == "cell" or not _follows_from_the_cell(codes, name)]


def _follows_from_the_cell(codes: Mapping[str, "pd.Series[int]"], name: str) -> bool:
    for other in codes:
        if other == name:
            continue
        groups = codes[name].groupby([codes["cell"], codes[other]])
        # In small groups it would seem so by chance.
        least = 2 if other == "cell" else 4
        if groups.ngroups * least <= len(codes[name]) and bool((groups.nunique() == 1).all()):
            return True
    return False


def levels(column: "pd.Series[Any]") -> list[Any]:
    """The different values of a setting: None first, then off before on, numbers ascending, texts by alphabet."""

    def order(value: Any) -> tuple[int, float, str]:
        if value is None:
            return (0, 0.0, "")
        return (2, 0.0, value) if isinstance(value, str) else (1, float(value), "")

    return sorted({None if pd.isna(value) else value for value in set(column.tolist())}, key=order)


def at_level(column: "pd.Series[Any]", level: Any) -> "pd.Series[bool]":
    """Where a setting has this value; None matches a setting that a job does not have."""
    return column.isna() if level is None else column == level


def finished(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of jobs that are done."""
    return frame.loc[frame["status"] == Status.DONE.value]


def comparable(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows whose metric can be compared: done, not diverged, a finite number.

    A number of 1e150 or more is as good as infinite.
    Raises UsageError for a metric that no result has.
    """
    if metric not in frame.columns:
        known = ", ".join(map(str, frame.columns[list(frame.columns).index(_OUTCOME[-1]) + 1 :]))
        raise UsageError(f"metric {metric!r} is in no result: choose one of {known}")
    done = finished(frame)
    usable: pd.Series[bool] = ~done["diverged"] & (done[metric].abs() < _LARGEST)
    return done.loc[usable]


def diverged_counts(frame: pd.DataFrame, metric: str) -> "pd.Series[int]":
    """How many finished runs of each configuration cannot be compared, by recipe.

    A configuration that has any counts as diverged, however good its other seeds are.
    Raises UsageError for a metric that no result has.
    """
    done = finished(frame)
    lost = ~done.index.isin(comparable(frame, metric).index)
    return pd.Series(lost, index=done["recipe"], dtype=int).groupby(level=0).sum()


def restrict(frame: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows whose settings have the values in `where`.

    Raises UsageError for a name that is no setting of these jobs.
    """
    for name, value in where.items():
        if name not in setting_columns(frame):
            raise UsageError(f"no setting {name!r} to restrict by: choose from {', '.join(setting_columns(frame))}")
        frame = frame.loc[at_level(frame[name], value)]
    return frame


def tokenizer_kind(frame: pd.DataFrame) -> str | None:
    """The kind of tokenizer of all jobs; None if they differ or do not say."""
    kinds = levels(frame["tokenizer_kind"]) if "tokenizer_kind" in frame.columns else []
    return str(kinds[0]) if len(kinds) == 1 else None


class _Flattener:
    """Payloads as flat tables. Each path is made once, however many payloads have it: there may be 100,000 of them."""

    def __init__(self) -> None:
        self.paths: list[KeyPath] = []  # in the order in which they were first met
        self._below: dict[KeyPath, dict[str, KeyPath]] = {}

    def scalars(self, payload: dict[str, Any]) -> dict[KeyPath, Any]:
        """The settings of a payload."""
        found: dict[KeyPath, Any] = {}
        self._collect(payload, (), found)
        return found

    def _collect(self, node: dict[str, Any], path: KeyPath, found: dict[KeyPath, Any]) -> None:
        below = self._below.setdefault(path, {})
        for key, value in node.items():
            if isinstance(value, dict):
                self._collect(value, (*path, key), found)
            elif key != "sha256" and (path or key != "seed"):  # a corpus is told apart by its name
                whole = below.get(key)
                if whole is None:
                    whole = below[key] = (*path, key)
                    self.paths.append(whole)
                found[whole] = json.dumps(value) if isinstance(value, list) else value


def _column_names(paths: Sequence[KeyPath], measured: Sequence[str]) -> dict[KeyPath, str]:
    """The short name of each path; the whole path where another setting or a result has that name."""
    short = {path: path[-1] if path[0] in ("model", "training") else "_".join(path) for path in paths}
    taken = [*short.values(), *_IDENTITY, *_OUTCOME, *measured]
    return {path: name if taken.count(name) == 1 else ".".join(path) for path, name in short.items()}


def _recipe(payload: Mapping[str, Any]) -> str:
    without_seed = {key: value for key, value in payload.items() if key != "seed"}
    return sha256_hex(_SORTED.encode(without_seed).encode())[:12]


def _setting_series(values: list[Any]) -> "pd.Series[Any]":
    # A gap must not turn integers into floats: 256 would be shown as 256.0.
    series = pd.Series(values, dtype=object)
    return series if any(value is None for value in values) else series.infer_objects()


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    numeric = {key: value for key, value in result.items() if value is None or isinstance(value, int | float)}
    return {key: np.nan if value is None else float(value) for key, value in numeric.items()}
