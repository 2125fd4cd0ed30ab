"""Where a scale is cut so that a few large values do not hide the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Limits:
    """The values that a scale covers. Values above `high` are outliers: counted or clipped, so the rest can be seen."""

    low: float
    high: float  # the largest value covered

    @property
    def span(self) -> float:
        """Length of the scale, never zero."""
        return max(self.high - self.low, 1e-3 * max(abs(self.high), 1e-9))


def limits(values: Sequence[float] | Any, low: float | None = None) -> Limits:
    """The range of the values, cut where a few large ones would squeeze the rest into less than half of the scale.

    Large means more than three interquartile ranges above the upper quartile. Values that are not finite are left out;
    without any value the range is 0..1. `low` is the lower end of the scale, if that is not the lowest value.
    """
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if not len(array):
        return Limits(0.0, 1.0)
    lower, upper = np.quantile(array, [0.25, 0.75])
    bottom, high = float(array.min()) if low is None else low, float(array.max())
    inside = float(array[array <= upper + 3 * (upper - lower)].max())
    return Limits(bottom, inside if high - bottom > 2 * (inside - bottom) else high)
