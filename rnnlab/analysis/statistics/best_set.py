"""The configurations among which the best one is: multiple comparisons with the best (Hsu, Ann. Stat. 12(3), 1984).

A configuration stays in the set unless some other is clearly better than it:

    max over j of (mean_i - mean_j) / se_ij  <=  c_i        lower is better

c_i is the 95 % quantile of the same maximum over the draws of the errors (noise_model.py), which have each
configuration's own, uncertain variance. The truly best one is then in the set with a chance of 95 %, because its true
differences are at most 0.

Shapes: G configurations, Z draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rnnlab.analysis.statistics.noise_model import NoiseModel
from rnnlab.analysis.statistics.variances import Floats

CONFIDENCE = 0.95
_MOST_RIVALS = 400  # the lowest means: what is compared with; the others are no rivals of anything
_SLACK = 1.5  # times Bonferroni's critical value: what is beyond is out without a simulation


@dataclass(frozen=True)
class BestSet:
    """Which configurations may be the best, and how likely each is."""

    members_G: NDArray[np.bool_]  # the set that contains the best with 95 % confidence
    chances_G: Floats  # that a configuration is the best: share of the draws in which its mean is the lowest
    wins_G: Floats  # that one new run of a configuration beats one new run of each other


def best_set(model: NoiseModel, confidence: float = CONFIDENCE) -> BestSet:
    """The set for the means and errors of a noise model."""
    means_G, errors_ZG, se_G = model.means_G, model.errors_ZG, model.standard_errors_G
    n_draws, n_configurations = errors_ZG.shape
    order = np.argsort(means_G, kind="stable")
    rivals = order[:_MOST_RIVALS]
    members_G = np.zeros(n_configurations, dtype=bool)
    bonferroni_G = stats.t.isf((1 - confidence) / max(1, len(rivals) - 1), np.maximum(1.0, model.freedoms_G))
    hopeless_G = _SLACK * np.maximum(bonferroni_G, np.median(bonferroni_G))
    # Configurations of which equally much is known have one critical value: single runs, for example.
    critical_values: dict[tuple[object, ...], float] = {}
    for i in order:
        others = rivals[rivals != i]
        if not len(others):
            members_G[i] = True
            continue
        pair_errors = np.hypot(se_G[i], se_G[others])
        largest = float(np.max((means_G[i] - means_G[others]) / pair_errors))
        if largest <= 0:
            members_G[i] = True
        elif largest <= hopeless_G[i]:
            key = model.known_of(i)
            if key not in critical_values:
                maxima_Z = np.max((errors_ZG[:, [i]] - errors_ZG[:, others]) / pair_errors, axis=1)
                critical_values[key] = float(np.quantile(maxima_Z, confidence))
            members_G[i] = largest <= critical_values[key]
    draws_ZG = means_G - errors_ZG
    chances_G = np.bincount(np.argmin(draws_ZG, axis=1), minlength=n_configurations) / n_draws
    generator = np.random.default_rng(n_configurations + 1)
    runs_ZG = draws_ZG + model.run_sds_G * generator.standard_normal(draws_ZG.shape)
    wins_G = np.bincount(np.argmin(runs_ZG, axis=1), minlength=n_configurations) / n_draws
    return BestSet(members_G, chances_G, wins_G)
