"""The axes of parallel coordinates: at which height the line of each run crosses them.

Heights run from 0 (bottom) to 1 (top) of an axis. At a setting with few levels, the runs of a level spread over a band
around it, best at the bottom: no two lines share a point, and a wide band means many runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnlab.analysis.labels import level_label, rounded
from rnnlab.analysis.levels import is_continuous
from rnnlab.analysis.plots.scales import is_logarithmic
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.words.names import title

Floats = NDArray[np.float64]

_MOST_LABELS = 10  # with more levels only some are labeled
_WIDEST_BAND = 0.7  # of the distance between two levels
_TICKS = 5  # of a continuous axis


@dataclass(frozen=True)
class Axis:
    """One setting."""

    title: str
    heights: Floats  # of each run
    ticks: Sequence[tuple[float, str]]  # height, label


def axis_of(rows: Rows, name: str) -> Axis:
    """The axis of one setting; the runs come best first."""
    if is_continuous(rows.levels(name)):
        return _continuous(title(name), rows.frame[name].to_numpy(dtype=float))
    return _banded(title(name), rows, name)


def _banded(heading: str, rows: Rows, name: str) -> Axis:
    found = rows.levels(name)
    members = [np.flatnonzero(rows.at(name, level).to_numpy()) for level in found]
    most = max(map(len, members))
    distance = 1 / len(found)
    heights = np.empty(len(rows))
    for place, here in enumerate(members):
        width = distance * _WIDEST_BAND * len(here) / most
        heights[here] = distance * (place + 0.5) + width * (_spread(len(here)) - 0.5)
    ticks = [(distance * (place + 0.5), level_label(level)) for place, level in enumerate(found)]
    return Axis(heading, heights, ticks[:: -(-len(ticks) // _MOST_LABELS)])


def _spread(n: int) -> Floats:
    """n numbers in 0..1, ascending, one in the middle."""
    return (np.arange(n) + 0.5) / max(n, 1)


def _continuous(heading: str, values: Floats) -> Axis:
    logarithmic = is_logarithmic(values)
    scaled = np.log(values) if logarithmic else values
    bottom, top = float(scaled.min()), float(scaled.max())
    marks = np.linspace(bottom, top, _TICKS)
    ticks = [((mark - bottom) / (top - bottom), rounded(np.exp(mark) if logarithmic else mark)) for mark in marks]
    return Axis(heading, (scaled - bottom) / (top - bottom), [(float(height), label) for height, label in ticks])


def thinned(n: int, most: int) -> NDArray[np.int64]:
    """Which of n runs, best first, to draw: all, or `most`: the best of them, and a regular sample of the others."""
    if n <= most:
        return np.arange(n)
    best = most // 10
    return np.unique(np.concatenate([np.arange(best), np.linspace(best, n - 1, most - best).astype(int)]))
