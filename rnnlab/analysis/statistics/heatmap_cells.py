"""The median of a metric over a grid of two numeric settings, for each level of a third."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnlab.analysis.levels import are_numbers
from rnnlab.analysis.runs import Rows, Runs
from rnnlab.analysis.statistics.variance import LEAST_SHOWN

_MOST_LEVELS = 12  # of a numeric setting
_FEWEST_CELLS = 6
_MOST_PANELS = 4
_LEAST_SHARE = 0.05  # of the variance: a third setting that explains less gets no panels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The settings of a heat map."""

    across: str
    up: str
    panels: str | None  # a setting with few levels


@dataclass(frozen=True)
class Grid:
    """The cells of one panel."""

    level: Any  # of the third setting; None without one
    medians: Floats  # (levels up, levels across); NaN if no run of the cell can be compared
    counts: NDArray[np.int64]  # of the runs behind them
    lost: NDArray[np.int64]  # finished runs that diverged or lack the metric


@dataclass(frozen=True)
class HeatmapCells:
    """The cells of a heat map."""

    choice: Choice
    across: Sequence[Any]  # the levels of the setting across, ascending
    up: Sequence[Any]  # the levels of the setting up, ascending
    grids: Sequence[Grid]  # in the order of the levels of the third setting

    @property
    def filled(self) -> float:
        """The share of the cells, over all panels, with a finished run; 0..1."""
        return float(np.mean([grid.counts + grid.lost > 0 for grid in self.grids]))


def choose(runs: Runs, shares: Mapping[str, float]) -> Choice | None:
    """The two numeric settings that explain most, and one worth a panel for each level.

    None for fewer than two, if both explain nothing, and if their levels make too few cells.

    shares: of the variance, by setting, for all that may be chosen; NaN if it is not known.
    """
    by_share = sorted(shares, key=lambda name: -np.nan_to_num(shares[name]))
    counts = {name: len(runs.all.levels(name)) for name in by_share}
    numeric = [name for name in by_share if counts[name] <= _MOST_LEVELS and are_numbers(runs.all.levels(name))]
    if len(numeric) < 2:
        return None
    across, up = sorted(numeric[:2], key=lambda name: -counts[name])
    if counts[across] * counts[up] < _FEWEST_CELLS or max(shares[across], shares[up]) < LEAST_SHOWN:
        return None
    thirds = [name for name in by_share if name not in (across, up) and counts[name] <= _MOST_PANELS]
    third = thirds[0] if thirds and shares[thirds[0]] >= _LEAST_SHARE else None
    return Choice(across, up, third)


def heatmap_cells(runs: Runs, choice: Choice) -> HeatmapCells:
    """The medians over the finished runs of a round."""
    done = runs.finished
    losses = done.frame[runs.metric].where(done.frame.index.isin(runs.comparable.frame.index)).to_numpy(dtype=float)
    across, up = (_places(done, name) for name in (choice.across, choice.up))
    shape = len(done.levels(choice.up)), len(done.levels(choice.across))
    if choice.panels is None:
        grids = [_grid(None, losses, up, across, shape)]
    else:
        third = choice.panels
        members = {level: done.at(third, level).to_numpy() for level in done.levels(third)}
        grids = [_grid(level, losses[here], up[here], across[here], shape) for level, here in members.items()]
    return HeatmapCells(choice, done.levels(choice.across), done.levels(choice.up), grids)


def _grid(level: Any, losses: Floats, up: NDArray[np.int64], across: NDArray[np.int64], shape: tuple[int, int]) -> Grid:
    medians, counts, lost = np.full(shape, np.nan), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, column in np.ndindex(shape):
        cell = losses[(up == row) & (across == column)]
        good = cell[np.isfinite(cell)]
        counts[row, column], lost[row, column] = len(good), len(cell) - len(good)
        if len(good):
            medians[row, column] = np.median(good)
    return Grid(level, medians, counts, lost)


def _places(rows: Rows, name: str) -> NDArray[np.int64]:
    """The position of each value among the levels."""
    return np.searchsorted(np.array(rows.levels(name), dtype=float), rows.frame[name].to_numpy(dtype=float))
