"""All runs of an experiment as the data of the page's table: column by column, so that thousands stay small."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from rnnlab.analysis.runs import factors, levels, setting_columns
from rnnlab.analysis.statistics.ranking import rank
from rnnlab.analysis.words.names import level_label, metric_title, title

_DIGITS = 6  # of a number that was measured
_HASH_DIGITS = 16  # as in the names of the run folders


def runs_data(frame: pd.DataFrame, metric: str) -> dict[str, Any]:
    """What page.js makes its table of; JSON without NaN.

    frame: all jobs (`results_frame`), finished or not. Returns

        columns     key, title, kind (number, switch, text), shown (in the table; else only in the details of a run),
                    part (run, setting, result), and either values, one a run, or levels and at, indices into levels;
                    a missing value is null, or -1 in at
        shared      title and value of the settings that all runs have in common
        sort        the key that the table is sorted by at first

    Raises UsageError for a metric that no result has.
    """
    ranks = _ranks(frame, metric)
    varying, table = set(factors(frame)), []
    rounds = frame["round"].nunique() > 1
    table.append(_column("rank", "rank", [ranks.get(job_id) for job_id in frame["id"].tolist()], True, "run"))
    table.append(_column("round", "round", frame["round"].tolist(), rounds, "run"))
    measured = [str(name) for name in frame.columns[list(frame.columns).index("diverged") + 1 :]]
    table.append(_column(metric, metric, frame[metric].tolist(), True, "result"))
    shared = []
    for name in setting_columns(frame):
        if len(levels(frame[name])) > 1:
            table.append(_column(name, title(name), frame[name].tolist(), name in varying, "setting"))
        elif len(frame):
            shared.append([title(name), level_label(frame[name].iloc[0])])
    table.append(_column("seed", "seed", frame["seed"].tolist(), True, "run"))
    for name in measured:
        if name != metric:
            table.append(_column(name, metric_title(name), frame[name].tolist(), name == "parameters", "result"))
    table.append(_column("seconds", "seconds", frame["seconds"].round(1).tolist(), True, "run"))
    status = frame["status"].where(~frame["diverged"], "diverged")
    table.append(_column("status", "status", status.tolist(), True, "run"))
    table.append(_column("job", "job", frame["id"].tolist(), True, "run"))
    hashes = [text[:_HASH_DIGITS] for text in frame["config_hash"].tolist()]
    table.append(_column("config_hash", "config hash", hashes, False, "run"))
    return {"columns": table, "shared": shared, "sort": metric}


def _ranks(frame: pd.DataFrame, metric: str) -> Mapping[int, int]:
    """The rank of each run among those of its round (1 = best), by job id; runs that cannot be compared have none."""
    ranks: dict[int, int] = {}
    for _, runs in frame.groupby("round", sort=False):
        best_first = rank(runs, metric)
        best_first = best_first[best_first["rank"].notna()]
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
    """A value that JSON knows, with as many digits as are worth their bytes; None where there is none."""
    if value is None or isinstance(value, bool | str):
        return value
    if pd.isna(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e15 else float(f"{value:.{_DIGITS}g}")
    return value if isinstance(value, int) else value.item()
