"""The rule that the set of the best replaced: Welch's test of each configuration against the best mean, with Holm."""

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.answers.scenarios import Floats

_LEVEL = 0.05


def not_separable(runs_GR: Floats) -> NDArray[np.bool_]:
    """Which configurations cannot be told apart from the best mean; Holm's correction is for all pairs."""
    n_configurations = len(runs_GR)
    best = int(runs_GR.mean(axis=1).argmin())
    others = [k for k in range(n_configurations) if k != best]
    p = np.array([stats.ttest_ind(runs_GR[k], runs_GR[best], equal_var=False).pvalue for k in others])
    order = np.argsort(p)
    n_pairs = n_configurations * (n_configurations - 1) // 2
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (n_pairs - np.arange(len(p)))))
    tied = np.ones(n_configurations, dtype=bool)
    tied[others] = corrected >= _LEVEL
    return tied
