"""What a configuration costs and what it is worth: means over seeds, and which points to name. No drawing here."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.runs import comparable, diverged_counts

Floats = NDArray[np.float64]


def configurations(frame: pd.DataFrame, metric: str, cost: "pd.Series[float]") -> pd.DataFrame:
    """One row a configuration that can be compared and has a positive cost: its first run, means of metric and cost.

    A configuration of which a seed diverged cannot be compared.
    cost: of each row of `frame`; NaN where it is not known. The means stand in the columns `loss` and `cost`.
    """
    diverged = diverged_counts(frame, metric)
    runs = comparable(frame, metric)
    runs = runs[~runs["recipe"].isin(diverged[diverged > 0].index)]
    runs = runs.assign(loss=runs[metric], cost=cost[runs.index])
    runs = runs[runs["cost"] > 0]
    groups = runs.groupby("recipe", sort=False)
    means = groups[["loss", "cost"]].mean()
    first = runs.drop_duplicates("recipe").set_index("recipe", drop=False)
    first[["loss", "cost"]] = means.loc[first.index]
    return first.reset_index(drop=True)


def worth_naming(losses: Floats, positions: Floats, distance: float, most: int) -> list[int]:
    """At most so many places of a front, any two at least `distance` apart, in order: the last, the first, large falls.

    losses: along the front, falling. positions: (n, 2), where the points lie.
    """
    falls = -np.diff(losses, prepend=losses[:1])
    order = sorted(range(len(losses)), key=lambda place: (place not in (0, len(losses) - 1), -falls[place]))
    chosen: list[int] = []
    for place in [len(losses) - 1, *order]:
        away = [np.hypot(*(positions[place] - positions[other])) for other in chosen]
        if len(chosen) < most and all(one >= distance for one in away):
            chosen.append(place)
    return sorted(chosen)
