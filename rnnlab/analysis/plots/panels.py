"""What stands in the panels of a swarm picture: for each setting that varies, its levels and their runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.plots.scales import is_continuous
from rnnlab.analysis.plots.style import shortened
from rnnlab.analysis.runs import at_level, comparable, factors, finished, levels
from rnnlab.analysis.words.names import level_label, title

_LONGEST_LABEL = 24  # letters


@dataclass(frozen=True)
class Level:
    """The runs that share one value of a setting."""

    label: str
    runs: NDArray[np.int64]  # positions in `Panels.values`
    total: int  # runs of this level that can be compared, shown or not
    lost: int  # finished runs of this level that diverged or lack the metric
    mean: float  # over `runs`; NaN without any
    paired: float  # median difference from the first level, all others equal; NaN without a pair, and for the first


@dataclass(frozen=True)
class Continuum:
    """The numbers of a setting that has too many of them for levels; NaN where a run does not have the setting."""

    values: NDArray[np.float64]  # of the runs shown, in the order of `Panels.values`
    lost: NDArray[np.float64]  # of those that diverged or lack the metric


@dataclass(frozen=True)
class Panel:
    """One setting."""

    title: str
    levels: Sequence[Level]  # one, of all runs that have the setting, where it is continuous
    continuum: Continuum | None = None


@dataclass(frozen=True)
class Panels:
    """All panels over the same runs."""

    values: NDArray[np.float64]  # the metric of every run shown, in the frame's order
    job_ids: NDArray[np.int64]  # of the same runs
    selected: bool  # whether these are the runs below a threshold only
    lost: int  # finished runs that cannot be drawn because they diverged
    panels: Sequence[Panel]


def panels_of(
    frame: pd.DataFrame, metric: str, below: float | None = None, effects: pd.DataFrame | None = None
) -> Panels:
    """The panels of a round: of all its finished runs, or of those below a threshold.

    Levels that no run below the threshold has are kept, empty. Where no setting varies there is one panel of all runs.
    effects: from `paired_effects`, to stand beside the means. Raises UsageError for a metric that no result has.
    """
    done = finished(frame)
    good = comparable(frame, metric)
    lost = done[~done.index.isin(good.index)]
    shown = good if below is None else good[good[metric] < below]
    values = shown[metric].to_numpy(dtype=float)

    rows = [] if effects is None else effects.to_dict("records")
    paired = {(row["factor"], row["level"]): float(row["median"]) for row in rows}

    def level(label: str, here: "pd.Series[bool]", difference: float = float("nan")) -> Level:
        # `here` is over all finished runs; positions count the shown ones.
        runs = np.flatnonzero(here.loc[shown.index].to_numpy())
        mean = float(values[runs].mean()) if len(runs) else float("nan")
        return Level(label, runs, int(here.loc[good.index].sum()), int(here.loc[lost.index].sum()), mean, difference)

    def panel(name: str) -> Panel:
        column, found = done[name], levels(done[name])
        if is_continuous([value for value in found if value is not None]):
            numbers = column.astype(float)
            continuum = Continuum(
                np.asarray(numbers[shown.index], dtype=float), np.asarray(numbers[lost.index], dtype=float)
            )
            return Panel(title(name), [level("", column.notna())], continuum)
        labels = [shortened(level_label(value), _LONGEST_LABEL) for value in found]
        differences = [paired.get((name, value), float("nan")) for value in found]
        return Panel(
            title(name),
            [level(*one) for one in zip(labels, (at_level(column, v) for v in found), differences, strict=True)],
        )

    everything = Panel("all runs", [level("", pd.Series(True, index=done.index))])
    panels = [panel(name) for name in factors(done)] or [everything]
    ids = shown["id"].to_numpy(dtype=np.int64)
    return Panels(values, ids, below is not None, len(lost), panels)
