"""When an axis of numbers is logarithmic."""

import numpy as np
from numpy.typing import NDArray

_LEAST_RATIO = 4.5  # of the upper to the lower quartile, for a logarithmic axis; 3 for equal chances from 0 on


def is_logarithmic(values: NDArray[np.float64]) -> bool:
    """Whether these numbers, at least one, are spread so widely that only a logarithm tells the small ones apart."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    return bool(values.min() > 0 and upper / lower >= _LEAST_RATIO)
