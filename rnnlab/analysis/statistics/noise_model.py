"""Run-to-run noise of a round, and how certain the mean of each configuration is.

    value = configuration + seed + residual

Runs of one seed see the same windows and begin with the same values, so the seed moves all configurations alike: it is a
block, which cancels in differences. The residual has a variance for each configuration, moderated by those of the others
(variances.py). All uncertainty is expressed by draws of the errors of the means: intervals, critical values and chances
are quantiles and shares of the same draws, so that they cannot contradict each other.

K configurations, N runs, S seeds, D draws.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rnnlab.analysis.statistics.variances import Floats, VariancePosterior, variance_posterior

Integers = NDArray[np.intp]

NO_SEED = -1  # of a run whose seed says nothing: it was imported without one
_MOST_DRAWS = 4000
_LARGEST_DRAW = 8_000_000  # numbers: many configurations get fewer draws
_LEAST_DRAWS = 500
_CLEAR_OUTLIER = 10.0  # times the median sample variance: it takes no part in estimating what the seeds do
_RANK_TOLERANCE = 1e-9  # relative, of a singular value


@dataclass(frozen=True)
class NoiseModel:
    """Means over seeds, and the errors of these means."""

    means_K: Floats  # without what the seeds do
    counts_K: Integers  # runs
    posterior: VariancePosterior  # of the variances of the residuals
    n_seeds_shared: int  # seeds that several configurations have; below 2 there is no block
    seed_variance: float  # what the seeds do to all configurations alike; 0 without blocks
    _rows_KS: Floats  # share of each shared seed in a configuration, for the errors of the seeds' effects
    _seed_root_SS: Floats  # square root of the covariance of the seeds' effects, at unit variance of a residual

    @cached_property
    def errors_DK(self) -> Floats:
        """Draws of the errors of the means. A difference of two columns is the error of a difference."""
        return self._drawn[0]

    @cached_property
    def standard_errors_K(self) -> Floats:
        """Moderated standard errors of the means, the common part of the seeds apart."""
        return np.sqrt(self._drawn[1] / self.counts_K)

    @cached_property
    def run_sds_K(self) -> Floats:
        """Moderated standard deviations of one run, from the residuals."""
        return np.sqrt(self._drawn[1])

    @property
    def typical_sd(self) -> float:
        """Of one run of an ordinary configuration."""
        return float(np.sqrt(self.posterior.typical_variance))

    @cached_property
    def freedoms_K(self) -> Floats:
        """Degrees of freedom of the moderated variances; at most those of all configurations together."""
        prior = self.posterior.prior_freedom
        return np.minimum(self.posterior.freedoms_K + prior, self.posterior.pooled_freedom)

    @cached_property
    def _drawn(self) -> tuple[Floats, Floats]:
        n_configurations = len(self.means_K)
        n_draws = int(np.clip(_LARGEST_DRAW // max(1, n_configurations), _LEAST_DRAWS, _MOST_DRAWS))
        generator = np.random.default_rng(n_configurations)
        variances_DK, moderated_K = self.posterior.draw(n_draws, generator)
        errors_DK = np.sqrt(variances_DK / self.counts_K) * generator.standard_normal(variances_DK.shape)
        if self._seed_root_SS.size:
            scale_D1 = np.sqrt(np.median(variances_DK, axis=1, keepdims=True))
            seeds_DS = (
                scale_D1 * generator.standard_normal((n_draws, self._seed_root_SS.shape[1])) @ self._seed_root_SS.T
            )
            errors_DK -= seeds_DS @ self._rows_KS.T
        return errors_DK, moderated_K


def noise_model(values_N: Floats, configurations_N: Integers, seeds_N: Integers) -> NoiseModel | None:
    """The model of these runs; None where no configuration leaves a degree of freedom.

    configurations_N: 0 to K - 1, each at least once. seeds_N: equal numbers are equal seeds; NO_SEED is one of its own.
    """
    n_configurations = int(configurations_N.max()) + 1
    counts_K = np.bincount(configurations_N, minlength=n_configurations)
    plain_K = np.bincount(configurations_N, values_N, n_configurations) / counts_K
    left_N = values_N - plain_K[configurations_N]
    blocks = _Blocks(configurations_N, seeds_N, left_N, counts_K)
    residuals_N = left_N - blocks.fitted_N
    residuals_N -= (np.bincount(configurations_N, residuals_N, n_configurations) / counts_K)[configurations_N]
    sums_K = np.bincount(configurations_N, residuals_N**2, n_configurations)
    freedoms_K = np.maximum(0.0, counts_K - 1.0 - blocks.freedoms_K)
    freedoms_K[freedoms_K < _RANK_TOLERANCE] = 0.0
    sums_K[freedoms_K == 0] = 0.0
    posterior = variance_posterior(sums_K, freedoms_K)
    if posterior is None:
        return None
    means_K = plain_K - blocks.shares_KS @ blocks.effects_S
    return NoiseModel(
        means_K,
        counts_K,
        posterior,
        len(blocks.effects_S),
        float(np.var(blocks.effects_S, ddof=1)) if len(blocks.effects_S) > 1 else 0.0,
        blocks.shares_KS,
        blocks.root_SS,
    )


class _Blocks:
    """What each seed does to all configurations alike: least squares, beside the means of the configurations."""

    def __init__(self, configurations_N: Integers, seeds_N: Integers, left_N: Floats, counts_K: Integers) -> None:
        n_configurations = len(counts_K)
        shared = _shared_seeds(configurations_N, seeds_N)
        self.shares_KS = np.zeros((n_configurations, len(shared)))
        self.effects_S = np.zeros(len(shared))
        self.root_SS = np.zeros((0, 0))
        self.freedoms_K = np.zeros(n_configurations)  # degrees of freedom that the seeds take from each configuration
        self.fitted_N = np.zeros(len(left_N))
        if len(shared) < 2:
            return
        dummies_NS = (seeds_N[:, None] == shared[None, :]).astype(float)
        np.add.at(self.shares_KS, configurations_N, dummies_NS)
        self.shares_KS /= counts_K[:, None]
        centered_NS = dummies_NS - self.shares_KS[configurations_N]
        ordinary_K = _ordinary(configurations_N, left_N, counts_K)
        if ordinary_K.sum() < 2:
            ordinary_K[:] = True
        used_N = ordinary_K[configurations_N]
        values, vectors = np.linalg.eigh(centered_NS[used_N].T @ centered_NS[used_N])
        kept = values > _RANK_TOLERANCE * max(float(values[-1]), 1.0)
        self.root_SS = vectors[:, kept] / np.sqrt(values[kept])
        inverse_SS = self.root_SS @ self.root_SS.T
        self.effects_S = inverse_SS @ (centered_NS[used_N].T @ left_N[used_N])
        self.fitted_N = centered_NS @ self.effects_S
        leverage_N = np.einsum("ns,st,nt->n", centered_NS, inverse_SS, centered_NS)
        self.freedoms_K = np.bincount(configurations_N, np.where(used_N, leverage_N, 0.0), n_configurations)


def _shared_seeds(configurations_N: Integers, seeds_N: Integers) -> Integers:
    """The seeds that at least two configurations with several runs have."""
    pairs = np.unique(np.column_stack([seeds_N, configurations_N]), axis=0)
    seeds, counts = np.unique(pairs[:, 0], return_counts=True)
    return seeds[(counts > 1) & (seeds != NO_SEED)].astype(np.intp)


def _ordinary(configurations_N: Integers, left_N: Floats, counts_K: Integers) -> NDArray[np.bool_]:
    """Which configurations estimate the effects of the seeds: several runs, and no variance beyond the others'."""
    several_K = counts_K > 1
    sums_K = np.bincount(configurations_N, left_N**2, len(counts_K))
    variances_K = np.divide(sums_K, counts_K - 1.0, out=np.zeros(len(counts_K)), where=several_K)
    typical = float(np.median(variances_K[several_K])) if several_K.any() else 0.0
    return several_K & (variances_K <= _CLEAR_OUTLIER * typical if typical > 0 else several_K)
