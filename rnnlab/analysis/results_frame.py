"""Jobs as a table: one row per job, one column per setting or number of the result.

The columns stand in three blocks, and `setting_columns` relies on the order:

    id, round, status, config_hash, recipe, payload, imported, seed_known, seed   which job it is
    n_layers, state_size, use_forget_gate, ...                        its settings, in payload order
    seconds, diverged, min_loss, final_loss, ...                      its result
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.files import sha256_hex
from rnnlab.queue.job import Job
from rnnlab.spec.regime_settings import BpttSettings, OnlineSettings

INTERNAL = ["payload", "imported", "seed_known"]  # columns that tables for people leave out
_IDENTITY = ["id", "round", "status", "config_hash", "recipe", *INTERNAL, "seed"]
_OUTCOME = ["seconds", "diverged"]
_ALWAYS = ["min_loss", "final_loss"]  # every training run reports them

_SORTED = json.JSONEncoder(sort_keys=True)

KeyPath = tuple[str, ...]  # keys from the top of a payload: ("model", "n_layers")


def results_frame(jobs: Sequence[Job]) -> pd.DataFrame:
    """One row per job, in the order given.

    `recipe` is a hash of the payload without its seed: equal for replicates of one configuration. Settings of the
    tables model and training keep their own name, those of other tables are called `<table>_<name>`; lists become
    JSON text; a setting that a job does not have is None. Numbers of the result are floats, NaN where a job has none;
    texts in it (the checkpoint) are left out. `imported` means that the job was trained elsewhere. `seed_known` means
    that its seed is the one that it was trained with: not a number that the import counted. `diverged` means that the
    loss stopped being finite.
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
        "seed_known": pd.Series([job.is_seed_known for job in jobs], dtype=bool),
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
    """The payloads; where some have a setting that was added later, the others get the value it had before."""
    late = OnlineSettings.omitted_from_hash | BpttSettings.omitted_from_hash
    used = {name: late[name] for name in late if any(name in payload.get("training", {}) for payload in payloads)}
    for payload in payloads:
        yield {**payload, "training": used | payload["training"]} if used and "training" in payload else payload


def setting_columns(frame: pd.DataFrame) -> list[str]:
    """All setting columns, in payload order, without the seed."""
    columns = [str(name) for name in frame.columns]
    return columns[columns.index(_IDENTITY[-1]) + 1 : columns.index(_OUTCOME[0])]


def result_columns(frame: pd.DataFrame) -> list[str]:
    """The numbers of the results: the columns after `diverged`."""
    columns = [str(name) for name in frame.columns]
    return columns[columns.index(_OUTCOME[-1]) + 1 :]


class _Flattener:
    """Flattens payloads. Each path is made once for all payloads: there may be 100,000 of them."""

    def __init__(self) -> None:
        self.paths: list[KeyPath] = []  # in the order of their first occurrence
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
            elif key != "sha256" and (path or key != "seed"):  # the name of a corpus identifies it
                whole = below.get(key)
                if whole is None:
                    whole = below[key] = (*path, key)
                    self.paths.append(whole)
                found[whole] = json.dumps(value) if isinstance(value, list) else value


def _column_names(paths: Sequence[KeyPath], measured: Sequence[str]) -> dict[KeyPath, str]:
    """The short name of each path; the whole path if another setting or a result has that name."""
    short = {path: path[-1] if path[0] in ("model", "training") else "_".join(path) for path in paths}
    taken = [*short.values(), *_IDENTITY, *_OUTCOME, *measured]
    return {path: name if taken.count(name) == 1 else ".".join(path) for path, name in short.items()}


def _recipe(payload: Mapping[str, Any]) -> str:
    without_seed = {key: value for key, value in payload.items() if key != "seed"}
    return sha256_hex(_SORTED.encode(without_seed).encode())[:12]


def _setting_series(values: list[Any]) -> "pd.Series[Any]":
    # A missing value must not turn integers into floats: 256 would be shown as 256.0.
    series = pd.Series(values, dtype=object)
    return series if any(value is None for value in values) else series.infer_objects()


def _numbers(result: Mapping[str, Any]) -> dict[str, float]:
    numeric = {key: value for key, value in result.items() if value is None or isinstance(value, int | float)}
    return {key: np.nan if value is None else float(value) for key, value in numeric.items()}
