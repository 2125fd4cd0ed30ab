"""Moderated variances: what a few runs say about the noise of a configuration, with what all the others say.

Two or three seeds hardly determine a variance. The variances of all configurations are therefore treated as draws from
one distribution, which is estimated with them (the hierarchical model of Smyth, "Linear models and empirical Bayes
methods for assessing differential expression", SAGMB 3(1), 2004):

    s_k^2 | v_k  ~  v_k chi2(d_k) / d_k          the sample variance of configuration k, with d_k degrees of freedom
    v_k          ~  d0 s0 / chi2(d0)             d0: degrees of freedom of the prior, s0: its variance

so that v_k, given both, is (d0 s0 + d_k s_k^2) / chi2(d0 + d_k). With probability `OUTLIER_SHARE` the prior of a
configuration has one degree of freedom: an unstable configuration keeps its own variance and does not raise that of the
others (the purpose of Phipson et al., AoAS 10(2), 2016, whose robust hyper-parameters this mixture replaces). A few
configurations cannot determine d0 and s0: both are integrated over a grid, with flat priors on log d0 and log s0.

Shapes: G configurations, Z draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

OUTLIER_SHARE = 0.1
_OUTLIER_FREEDOM = 1.0
# Degrees of freedom of the prior; the last stands for infinity: all configurations have one variance.
_PRIOR_FREEDOMS = np.array([1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 128.0, 1e6])
_LOG_SCALES = np.linspace(-5.0, 5.0, 81)  # of s0, around the typical sample variance
_SMALLEST = 1e-10  # of the typical sample variance: less is rounding


def squeezed(
    sums_G: Floats, freedoms_G: Floats, prior_variance: Floats | float, prior_freedom: Floats | float
) -> Floats:
    """The variances moderated by a known prior: (d0 s0 + d_k s_k^2) / (d0 + d_k). Smyth (2004), section 3.

    sums_G: d_k s_k^2. prior_variance, prior_freedom: s0 and d0, or one of each for every draw: (Z, 1) and (Z, G).
    """
    return (prior_freedom * prior_variance + sums_G) / (prior_freedom + freedoms_G)


@dataclass(frozen=True)
class VariancePosterior:
    """What is known of the variances of G configurations."""

    sums_G: Floats  # d_k s_k^2: sums of squares; 0 where a configuration ran once
    freedoms_G: Floats  # d_k, 0 or more
    weights: Floats  # (d0, s0): posterior of the grid, sums to 1
    scales: Floats  # s0 of the grid
    pooled_freedom: float  # degrees of freedom behind the posterior: those of all configurations together

    @property
    def prior_freedom(self) -> float:
        """Posterior median of d0."""
        cumulated = np.cumsum(self.weights.sum(axis=1))
        found = _PRIOR_FREEDOMS[int(np.searchsorted(cumulated, 0.5))]
        return float(np.inf if found == _PRIOR_FREEDOMS[-1] else found)

    @property
    def typical_variance(self) -> float:
        """Posterior mean of s0 on the logarithmic scale: the noise of an ordinary configuration."""
        return float(np.exp(self.weights.sum(axis=0) @ np.log(self.scales)))

    def draw(self, n_draws: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Draws of the variances (Z, G), and moderated estimates of them (G): harmonic means of the posterior."""
        place = generator.choice(self.weights.size, size=n_draws, p=self.weights.ravel())
        row, column = np.unravel_index(place, self.weights.shape)
        ordinary_Z1, scale_Z1 = _PRIOR_FREEDOMS[row][:, None], self.scales[column][:, None]
        # Draws fall on few places of the grid, and the chances are slow to compute.
        used, inverse_Z = np.unique(place, return_inverse=True)
        row, column = np.unravel_index(used, self.weights.shape)
        chances = _outlier_chance(
            self.sums_G, self.freedoms_G, _PRIOR_FREEDOMS[row][:, None], self.scales[column][:, None]
        )
        outlier_ZG = generator.random((n_draws, len(self.sums_G))) < chances[inverse_Z]
        prior_ZG = np.where(outlier_ZG, _OUTLIER_FREEDOM, ordinary_Z1)
        moderated_ZG = squeezed(self.sums_G, self.freedoms_G, scale_Z1, prior_ZG)
        freedoms_ZG = prior_ZG + self.freedoms_G
        chi_squared_ZG = np.maximum(2.0 * generator.standard_gamma(freedoms_ZG / 2.0), np.finfo(float).tiny)
        return moderated_ZG * freedoms_ZG / chi_squared_ZG, 1.0 / np.mean(1.0 / moderated_ZG, axis=0)


def variance_posterior(sums_G: Floats, freedoms_G: Floats) -> VariancePosterior | None:
    """The posterior of variances with these sums of squares and degrees of freedom; None where no freedom is left.

    A configuration with 0 degrees of freedom has the prior's variance.
    """
    known = freedoms_G > 0
    if not known.any():
        return None
    variances = sums_G[known] / freedoms_G[known]
    positive = variances[variances > 0]
    typical = float(np.median(positive)) if len(positive) else _SMALLEST
    floored = np.where(known, np.maximum(sums_G, _SMALLEST * typical * freedoms_G), 0.0)
    scales = typical * np.exp(_LOG_SCALES)
    log_weights = np.empty((len(_PRIOR_FREEDOMS), len(scales)))
    outlying = _log_density(floored[known], freedoms_G[known], np.array(_OUTLIER_FREEDOM), scales[:, None])
    for row, freedom in enumerate(_PRIOR_FREEDOMS):
        ordinary = _log_density(floored[known], freedoms_G[known], freedom, scales[:, None])
        mixed = np.logaddexp(np.log1p(-OUTLIER_SHARE) + ordinary, np.log(OUTLIER_SHARE) + outlying)
        log_weights[row] = mixed.sum(axis=1)
    weights = np.exp(log_weights - log_weights.max())
    return VariancePosterior(floored, freedoms_G, weights / weights.sum(), scales, float(freedoms_G.sum()))


def single_variance(sum_of_squares: float, freedom: float, n_configurations: int) -> VariancePosterior:
    """The posterior where all configurations have one variance, of which one sum of squares is known."""
    floor = _SMALLEST * _SMALLEST * freedom
    sums, freedoms = np.array([max(sum_of_squares, floor)]), np.array([float(freedom)])
    scales = float(sums[0] / freedom) * np.exp(_LOG_SCALES)
    log_weights = np.full((len(_PRIOR_FREEDOMS), len(scales)), -np.inf)
    log_weights[-1] = _log_density(sums, freedoms, float(_PRIOR_FREEDOMS[-1]), scales)
    weights = np.exp(log_weights - log_weights.max())
    nothing_G = np.zeros(n_configurations)
    return VariancePosterior(nothing_G, nothing_G, weights / weights.sum(), scales, float(freedom))


def _log_density(sums: Floats, freedoms: Floats, prior: Floats | float, scale: Floats) -> Floats:
    """Logarithm of the density of log s^2, where s^2 / s0 has an F distribution with these degrees of freedom."""
    x = np.log(sums / freedoms / scale)
    norm = special.betaln(freedoms / 2.0, np.asarray(prior) / 2.0)
    kernel = freedoms * (x + np.log(freedoms / prior)) - (freedoms + prior) * np.log1p(freedoms / prior * np.exp(x))
    return np.asarray(0.5 * kernel - norm, dtype=float)


def _outlier_chance(sums_G: Floats, freedoms_G: Floats, ordinary_Z1: Floats, scale_Z1: Floats) -> Floats:
    """The chance (Z, G) that a configuration is of the other kind, given the prior of a draw."""
    known = freedoms_G > 0
    # Of a configuration with a single run nothing speaks for the other kind, whose variance has no mean.
    chance_ZG = np.zeros((len(scale_Z1), len(sums_G)))
    sums, freedoms = sums_G[known], freedoms_G[known]
    ordinary = np.log1p(-OUTLIER_SHARE) + _log_density(sums, freedoms, ordinary_Z1, scale_Z1)
    outlying = np.log(OUTLIER_SHARE) + _log_density(sums, freedoms, np.array(_OUTLIER_FREEDOM), scale_Z1)
    chance_ZG[:, known] = np.exp(outlying - np.logaddexp(ordinary, outlying))
    return chance_ZG
