"""What stands in the panels of a swarm picture: for each setting that varies, its levels and their runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.names import level_label, title
from rnnlab.analysis.plots.style import shortened
from rnnlab.analysis.results import at_level, comparable, factors, finished, levels

_LONGEST_LABEL = 24  # letters


@dataclass(frozen=True)
class Level:
    """The runs that share one value of a setting."""

    label: str
    runs: NDArray[np.int64]  # positions in `Panels.values`
    total: int  # runs of this level that can be compared, shown or not
    lost: int  # finished runs of this level that diverged or lack the metric
    mean: float  # over `runs`; NaN without any


@dataclass(frozen=True)
class Panel:
    """One setting."""

    title: str
    levels: Sequence[Level]


@dataclass(frozen=True)
class Panels:
    """All panels over the same runs."""

    values: NDArray[np.float64]  # the metric of every run shown, in the frame's order
    job_ids: NDArray[np.int64]  # of the same runs
    selected: bool  # whether these are the runs below a threshold only
    panels: Sequence[Panel]

    @property
    def lost(self) -> int:
        """Finished runs that cannot be drawn because they diverged."""
        return sum(level.lost for level in self.panels[0].levels)


def panels_of(frame: pd.DataFrame, metric: str, below: float | None = None) -> Panels:
    """The panels of a round: of all its finished runs, or of those below a threshold.

    Levels that no run below the threshold has are kept, empty. Where no setting varies there is one panel of all runs.
    Raises UsageError for a metric that no result has.
    """
    done = finished(frame)
    good = comparable(frame, metric)
    lost = done[~done.index.isin(good.index)]
    shown = good if below is None else good[good[metric] < below]
    values = shown[metric].to_numpy(dtype=float)

    def level(label: str, here: "pd.Series[bool]") -> Level:
        # `here` is over all finished runs; positions count the shown ones.
        runs = np.flatnonzero(here.loc[shown.index].to_numpy())
        mean = float(values[runs].mean()) if len(runs) else float("nan")
        return Level(label, runs, int(here.loc[good.index].sum()), int(here.loc[lost.index].sum()), mean)

    def panel(name: str) -> Panel:
        column = done[name]
        return Panel(
            title(name), [level(shortened(level_label(v), _LONGEST_LABEL), at_level(column, v)) for v in levels(column)]
        )

    everything = Panel("all runs", [level("", pd.Series(True, index=done.index))])
    panels = [panel(name) for name in factors(done)] or [everything]
    return Panels(values, shown["id"].to_numpy(dtype=np.int64), below is not None, panels)
