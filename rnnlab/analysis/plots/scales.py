"""Settings that are numbers: which have an axis of their own instead of levels, and when it is logarithmic."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_LEVELS = 30  # more numbers are a continuous axis
_LEAST_RATIO = 4.5  # of the upper to the lower quartile, for a logarithmic axis; 3 for equal chances from 0 on


def is_continuous(found: Sequence[Any]) -> bool:
    """Whether the levels of a setting are too many to stand side by side, and all of them numbers."""
    return len(found) > _MOST_LEVELS and all(
        isinstance(level, int | float) and not isinstance(level, bool) for level in found
    )


def is_logarithmic(values: NDArray[np.float64]) -> bool:
    """Whether these numbers, at least one, are spread so widely that only a logarithm tells the small ones apart."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    return bool(values.min() > 0 and upper / lower >= _LEAST_RATIO)
