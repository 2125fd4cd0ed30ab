"""Every run by setting: for each setting that varies, its levels and their runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.levels import is_continuous
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.effects import Effects

_WINDOW = 0.1  # of the runs, for the running median
_LEAST_WINDOW = 15  # runs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Level:
    """The runs that share one value of a setting."""

    value: Any  # None also if these are all runs
    runs: NDArray[np.int64]  # positions in `Panels.values`
    total: int  # runs of this level that can be compared, shown or not
    lost: int  # finished runs of this level that diverged or lack the metric
    mean: float  # over `runs`; NaN without any
    paired: float  # median difference from the first level, all others equal; NaN without a pair, and for the first


@dataclass(frozen=True)
class Continuum:
    """The numbers of a setting that has too many of them for levels; NaN if a run does not have the setting."""

    values: Floats  # of the runs shown, in the order of `Panels.values`
    lost: Floats  # of those that diverged or lack the metric


@dataclass(frozen=True)
class Panel:
    """One setting."""

    setting: str | None  # None: all runs together
    levels: Sequence[Level]  # if the setting is continuous: one level with all runs that have it
    continuum: Continuum | None = None


@dataclass(frozen=True)
class Panels:
    """All panels over the same runs."""

    values: Floats  # the metric of every run shown, in the order of the table
    job_ids: NDArray[np.int64]  # of the same runs
    selected: bool  # whether these are the runs below a threshold only
    lost: int  # finished runs that cannot be drawn because they diverged
    panels: Sequence[Panel]


def panels_of(runs: Runs, below: float | None = None, effects: Effects | None = None) -> Panels:
    """The panels of a round: of all its finished runs, or of those below a threshold.

    Levels without a run below the threshold are kept, empty. If no setting varies there is one panel of all runs.
    effects: paired effects to show with the means.
    """
    done, good, lost = runs.finished, runs.comparable.frame, runs.incomparable.frame
    shown = good if below is None else good[good[runs.metric] < below]
    values = shown[runs.metric].to_numpy(dtype=float)
    rows = [] if effects is None else effects.rows
    paired = {(row["factor"], row["level"]): float(row["median"]) for row in rows}

    def level(value: Any, here: "pd.Series[bool]", difference: float = float("nan")) -> Level:
        # `here` is over all finished runs; positions count the shown ones.
        places = np.flatnonzero(here.loc[shown.index].to_numpy())
        mean = float(values[places].mean()) if len(places) else float("nan")
        total, diverged = int(here.loc[good.index].sum()), int(here.loc[lost.index].sum())
        return Level(value, places, total, diverged, mean, difference)

    def panel(name: str) -> Panel:
        column, found = done.frame[name], done.levels(name)
        if is_continuous([value for value in found if value is not None]):
            numbers = column.astype(float)
            continuum = Continuum(
                np.asarray(numbers[shown.index], dtype=float), np.asarray(numbers[lost.index], dtype=float)
            )
            return Panel(name, [level(None, column.notna())], continuum)
        differences = [paired.get((name, value), float("nan")) for value in found]
        return Panel(
            name,
            [level(value, done.at(name, value), change) for value, change in zip(found, differences, strict=True)],
        )

    everything = Panel(None, [level(None, pd.Series(True, index=done.frame.index))])
    panels = [panel(name) for name in done.factors] or [everything]
    ids = shown["id"].to_numpy(dtype=np.int64)
    return Panels(values, ids, below is not None, len(lost), panels)


def running_median(values: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Medians of values and losses over a tenth of the runs around each, in the order of the values; fewer at the ends.

    Runs without a value are left out; empty for fewer than fifteen.
    """
    known = np.isfinite(values)
    order = np.argsort(values[known], kind="stable")
    table = pd.DataFrame({"value": values[known][order], "loss": losses[known][order]})
    if len(table) < _LEAST_WINDOW:
        return np.empty(0), np.empty(0)
    window = max(_LEAST_WINDOW, int(_WINDOW * len(table)))
    medians = table.rolling(window, center=True, min_periods=window // 2).median()
    return medians["value"].to_numpy(dtype=float), medians["loss"].to_numpy(dtype=float)
