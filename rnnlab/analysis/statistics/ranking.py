"""Who is best, and how the runs of a round are distributed. Lower is better for every metric."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rnnlab.analysis.runs import comparable, finished


def rank(frame: pd.DataFrame, by: str = "min_loss") -> pd.DataFrame:
    """The rows, best first, with their `rank` (1 = best) as the first column.

    Ties are ordered by config hash, so the order does not depend on the order of the jobs. Runs that diverged or lack
    the metric come after all others, unfinished jobs last; they have no rank.
    Raises UsageError for a metric that no result has.
    """
    best_first = comparable(frame, by).sort_values([by, "config_hash"], kind="stable")
    done = finished(frame)
    without = done[~done.index.isin(best_first.index)].sort_values("config_hash", kind="stable")
    unfinished = frame[~frame.index.isin(done.index)]
    ranked = pd.concat([best_first, without, unfinished])
    places = [*range(1, len(best_first) + 1), *[None] * (len(frame) - len(best_first))]
    ranked.insert(0, "rank", pd.Series(places, index=ranked.index, dtype="Int64"))
    return ranked.reset_index(drop=True)


def best_run(frame: pd.DataFrame, by: str = "min_loss") -> dict[str, Any] | None:
    """The row of the best run, column -> value; None while no run can be compared."""
    ranked = rank(comparable(frame, by), by).head(1).to_dict("records")
    return {str(name): value for name, value in ranked[0].items()} if ranked else None


def best_payload(frame: pd.DataFrame, by: str = "min_loss") -> dict[str, Any] | None:
    """The run config of the best run, runnable as it is; None while no run can be compared."""
    best = best_run(frame, by)
    return None if best is None else dict(json.loads(best["payload"]))


@dataclass(frozen=True)
class Summary:
    """The numbers of one round. Best, median and worst are over the runs that can be compared."""

    jobs: int  # in the round
    finished: int  # of them done
    comparable: int  # of these neither diverged nor without the metric
    best: float  # NaN while nothing can be compared, like the next two
    median: float
    worst: float
    below: int | None  # comparable runs below the threshold; None without one


def summarize(frame: pd.DataFrame, by: str = "min_loss", threshold: float | None = None) -> Summary:
    """The numbers of one round.

    Raises UsageError for a metric that no result has.
    """
    values = comparable(frame, by)[by]
    return Summary(
        jobs=len(frame),
        finished=len(finished(frame)),
        comparable=len(values),
        best=float(values.min()),
        median=float(values.median()),
        worst=float(values.max()),
        below=None if threshold is None else int((values < threshold).sum()),
    )
