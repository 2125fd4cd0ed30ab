"""The median of a metric over a grid of two numeric settings, for each level of a third. No drawing here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.runs import at_level, comparable, finished, levels
from rnnlab.analysis.words.markdown import LEAST_SHOWN

_MOST_LEVELS = 12  # of a numeric setting
_FEWEST_CELLS = 6
_MOST_PANELS = 4
_LEAST_SHARE = 0.05  # of the variance: a third setting that explains less gets no panels

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """Which settings a heat map is about."""

    across: str
    up: str
    panels: str | None  # a setting with few levels


@dataclass(frozen=True)
class Grid:
    """One panel."""

    level: Any  # of the third setting; None without one
    medians: Floats  # (levels up, levels across); NaN where no run can be compared
    counts: NDArray[np.int64]  # of the runs behind them
    lost: NDArray[np.int64]  # finished runs that diverged or lack the metric


def choose(frame: pd.DataFrame, shares: Mapping[str, float]) -> Choice | None:
    """The two numeric settings that explain most, and one worth a panel for each level.

    None for fewer than two, where both explain nothing, and where their levels make too few cells.

    shares: of the variance, by setting, for all that may be chosen; NaN where it is not known.
    """
    by_share = sorted(shares, key=lambda name: -np.nan_to_num(shares[name]))
    counts = {name: len(levels(frame[name])) for name in by_share}
    numeric = [name for name in by_share if _is_numeric(levels(frame[name]))]
    if len(numeric) < 2:
        return None
    across, up = sorted(numeric[:2], key=lambda name: -counts[name])
    if counts[across] * counts[up] < _FEWEST_CELLS or max(shares[across], shares[up]) < LEAST_SHOWN:
        return None
    thirds = [name for name in by_share if name not in (across, up) and counts[name] <= _MOST_PANELS]
    third = thirds[0] if thirds and shares[thirds[0]] >= _LEAST_SHARE else None
    return Choice(across, up, third)


def _is_numeric(found: Sequence[Any]) -> bool:
    return len(found) <= _MOST_LEVELS and all(
        isinstance(level, int | float) and not isinstance(level, bool) for level in found
    )


def grids(frame: pd.DataFrame, metric: str, choice: Choice) -> list[Grid]:
    """The panels, in the order of the third setting's levels; rows and columns in the order of theirs, ascending."""
    done = finished(frame)
    losses = done[metric].where(done.index.isin(comparable(frame, metric).index)).to_numpy(dtype=float)
    across, up = (_places(done[name]) for name in (choice.across, choice.up))
    shape = len(levels(done[choice.up])), len(levels(done[choice.across]))
    if choice.panels is None:
        return [_grid(None, losses, up, across, shape)]
    third = choice.panels
    panels = done[third]
    members = {level: at_level(panels, level).to_numpy() for level in levels(panels)}
    return [_grid(level, losses[here], up[here], across[here], shape) for level, here in members.items()]


def filled(panels: Sequence[Grid]) -> float:
    """The share of the cells, over all panels, that a finished run falls into; 0..1."""
    return float(np.mean([panel.counts + panel.lost > 0 for panel in panels]))


def _grid(level: Any, losses: Floats, up: NDArray[np.int64], across: NDArray[np.int64], shape: tuple[int, int]) -> Grid:
    medians, counts, lost = np.full(shape, np.nan), np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, column in np.ndindex(shape):
        cell = losses[(up == row) & (across == column)]
        good = cell[np.isfinite(cell)]
        counts[row, column], lost[row, column] = len(good), len(cell) - len(good)
        if len(good):
            medians[row, column] = np.median(good)
    return Grid(level, medians, counts, lost)


def _places(column: "pd.Series[Any]") -> NDArray[np.int64]:
    """The position of each value among the levels."""
    return np.searchsorted(np.array(levels(column), dtype=float), column.to_numpy(dtype=float))
