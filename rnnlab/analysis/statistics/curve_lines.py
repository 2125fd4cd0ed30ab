"""The training curves of a round: their finite points, and their median and band on common steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnlab.queue.job import Curve

Floats = NDArray[np.float64]

_MOST_STEPS = 400  # of the band: more would not be visible
_FEWEST_CURVES = 3  # for a median


@dataclass(frozen=True)
class Line:
    """The recorded points of one job, without those that are not finite."""

    job_id: int
    steps: Floats  # optimizer steps, ascending
    values: Floats
    broke_off: bool  # a recorded value was not finite: the run diverged


def lines_of(curves: Mapping[int, Curve], job_ids: Sequence[int], series: str) -> list[Line]:
    """The curves of these jobs in this order; jobs without two finite points of `series` are left out."""
    lines = []
    for job_id in job_ids:
        curve = curves.get(job_id, Curve())
        values = np.asarray(curve.series.get(series, []), dtype=float)
        finite = np.isfinite(values)
        if finite.sum() >= 2:
            steps = np.asarray(curve.steps, dtype=float)
            lines.append(Line(job_id, steps[finite], values[finite], not finite.all()))
    return lines


@dataclass(frozen=True)
class Band:
    """Quantiles over the curves at each step that at least half of them (and three) have reached."""

    steps: Floats
    low: Floats  # 10 %
    median: Floats
    high: Floats  # 90 %


def band_of(lines: Sequence[Line]) -> Band:
    """Median and 10-90 % band of the curves, linear between recorded points; empty for fewer than three curves.

    A curve that broke off counts as worse than all others after its last point.
    """
    steps = np.unique(np.concatenate([line.steps for line in lines])) if lines else np.empty(0)
    if len(steps) > _MOST_STEPS:
        steps = np.unique(steps[np.linspace(0, len(steps) - 1, _MOST_STEPS).astype(int)])
    at_steps = np.full((len(lines), len(steps)), np.nan)
    worst = 10 * max((float(line.values.max()) for line in lines), default=0.0)
    for row, line in zip(at_steps, lines, strict=True):
        after = worst if line.broke_off else np.nan
        row[:] = np.interp(steps, line.steps, line.values, left=np.nan, right=after)
    reached = (~np.isnan(at_steps)).sum(axis=0) >= max(_FEWEST_CURVES, len(lines) / 2)
    if not reached.any():
        return Band(*[np.empty(0)] * 4)
    low, median, high = np.nanquantile(at_steps[:, reached], [0.1, 0.5, 0.9], axis=0)
    return Band(steps[reached], low, median, high)


def falls_early(lines: Sequence[Line]) -> bool:
    """Whether most curves make more than half of their descent in the first tenth of their steps."""
    early = []
    for line in lines:
        tenth = line.steps[0] + (line.steps[-1] - line.steps[0]) / 10
        top = line.values[: int(np.searchsorted(line.steps, tenth)) + 1].max()
        at_tenth = np.interp(tenth, line.steps, line.values)
        early.append(top - at_tenth > (top - line.values.min()) / 2)
    return bool(early) and bool(np.mean(early) > 0.5)
