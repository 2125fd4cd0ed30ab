"""The data of the page's table of all runs: column by column, which keeps thousands of runs small."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from rnnlab.analysis.labels import level_label
from rnnlab.analysis.results_frame import result_columns
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.words.names import metric_title, title

_DIGITS = 6  # of a measured number
_HASH_DIGITS = 16  # as in the names of the run folders


def runs_data(runs: Runs) -> dict[str, Any]:
    """The data that page.js builds its table from; JSON without NaN.

    runs: all rounds together. Returns

        columns     key, title, kind (number, switch, text), shown (in the table; if not, only in the details of a run),
                    part (run, setting, result), and either values, one per run, or levels and at, indices into levels;
                    a missing value is null, or -1 in at
        shared      title and value of the settings that all runs have in common
        sort        the key that the table is initially sorted by
    """
    frame, metric, ranks, table = runs.frame, runs.metric, _ranks(runs), []
    rounds = frame["round"].nunique() > 1
    table.append(_column("rank", "rank", [ranks.get(job_id) for job_id in frame["id"].tolist()], True, "run"))
    table.append(_column("round", "round", frame["round"].tolist(), rounds, "run"))
    table.append(_column(metric, metric, frame[metric].tolist(), True, "result"))
    shared = []
    for name in runs.all.settings:
        if len(runs.all.levels(name)) > 1:
            table.append(_column(name, title(name), frame[name].tolist(), name in runs.all.factors, "setting"))
        elif len(frame):
            shared.append([title(name), level_label(frame[name].iloc[0])])
    table.append(_column("seed", "seed", frame["seed"].tolist(), True, "run"))
    for name in result_columns(frame):
        if name != metric:
            table.append(_column(name, metric_title(name), frame[name].tolist(), name == "parameters", "result"))
    table.append(_column("seconds", "seconds", frame["seconds"].round(1).tolist(), True, "run"))
    status = frame["status"].where(~frame["diverged"], "diverged")
    table.append(_column("status", "status", status.tolist(), True, "run"))
    table.append(_column("job", "job", frame["id"].tolist(), True, "run"))
    hashes = [text[:_HASH_DIGITS] for text in frame["config_hash"].tolist()]
    table.append(_column("config_hash", "config hash", hashes, False, "run"))
    return {"columns": table, "shared": shared, "sort": metric}


def _ranks(runs: Runs) -> Mapping[int, int]:
    """The rank of each run among those of its round (1 = best), by job id; runs that cannot be compared have none."""
    ranks: dict[int, int] = {}
    for one in runs.by_round.values():
        best_first = one.best_first.frame
        ranks.update(zip(best_first["id"].tolist(), best_first["rank"].tolist(), strict=True))
    return ranks


def _column(key: str, name: str, values: list[Any], shown: bool, part: str) -> dict[str, Any]:
    cleaned = [_plain(value) for value in values]
    present = [value for value in cleaned if value is not None]
    column: dict[str, Any] = {"key": key, "title": name, "shown": shown, "part": part}
    if present and all(isinstance(value, bool) for value in present):
        return column | {"kind": "switch", "values": cleaned}
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in present):
        return column | {"kind": "number", "values": cleaned}
    texts = [None if value is None else level_label(value) for value in cleaned]
    names = sorted({text for text in texts if text is not None})
    place = {text: at for at, text in enumerate(names)}
    return column | {"kind": "text", "levels": names, "at": [-1 if text is None else place[text] for text in texts]}


def _plain(value: Any) -> Any:
    """A value that JSON can represent, numbers rounded to six digits; None if it is missing or not finite."""
    if value is None or isinstance(value, bool | str):
        return value
    if pd.isna(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.{_DIGITS}g}")
    return value if isinstance(value, int) else value.item()
