"""Run-to-run noise of a round, and how certain the mean of each configuration is.

    value = configuration + seed + residual

Runs with one seed see the same windows and start from the same values, so the seed changes all configurations alike: it
is a block, which cancels in differences. The residual has a variance for each configuration, moderated by those of the
others (variances.py). All uncertainty is expressed by draws of the errors of the means: intervals, critical values and
chances are quantiles and shares of the same draws, so they cannot contradict each other.

Shapes: G configurations, R runs, H seeds, Z draws.
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

    means_G: Floats  # without what the seeds do
    counts_G: Integers  # runs
    posterior: VariancePosterior  # of the variances of the residuals
    n_seeds_shared: int  # seeds that several configurations have; below 2 there is no block
    seed_variance: float  # what the seeds do to all configurations alike; 0 without blocks
    _rows_GH: Floats  # share of each shared seed in a configuration, for the errors of the seeds' effects
    _seed_root_HH: Floats  # square root of the covariance of the seeds' effects, at unit variance of a residual

    @cached_property
    def errors_ZG(self) -> Floats:
        """Draws of the errors of the means. A difference of two columns is the error of a difference."""
        return self._drawn[0]

    @cached_property
    def standard_errors_G(self) -> Floats:
        """Moderated standard errors of the means, the common part of the seeds apart."""
        return np.sqrt(self._drawn[1] / self.counts_G)

    @cached_property
    def run_sds_G(self) -> Floats:
        """Moderated standard deviations of one run, from the residuals."""
        return np.sqrt(self._drawn[1])

    @property
    def typical_sd(self) -> float:
        """Of one run of an ordinary configuration."""
        return float(np.sqrt(self.posterior.typical_variance))

    @property
    def seed_sd(self) -> float:
        """Standard deviation of what the seeds do to all configurations alike; 0 without blocks."""
        return float(np.sqrt(self.seed_variance))

    @cached_property
    def freedoms_G(self) -> Floats:
        """Degrees of freedom of the moderated variances; at most those of all configurations together."""
        prior = self.posterior.prior_freedom
        return np.minimum(self.posterior.freedoms_G + prior, self.posterior.pooled_freedom)

    def known_of(self, place: int) -> tuple[object, ...]:
        """What determines the distribution of the error of a mean: equal for configurations with equal ones."""
        posterior = self.posterior
        return (
            int(self.counts_G[place]),
            float(posterior.sums_G[place]),
            float(posterior.freedoms_G[place]),
            self._rows_GH[place].tobytes(),
        )

    @cached_property
    def _drawn(self) -> tuple[Floats, Floats]:
        n_configurations = len(self.means_G)
        n_draws = int(np.clip(_LARGEST_DRAW // max(1, n_configurations), _LEAST_DRAWS, _MOST_DRAWS))
        generator = np.random.default_rng(n_configurations)
        variances_ZG, moderated_G = self.posterior.draw(n_draws, generator)
        errors_ZG = np.sqrt(variances_ZG / self.counts_G) * generator.standard_normal(variances_ZG.shape)
        if self._seed_root_HH.size:
            scale_Z1 = np.sqrt(np.median(variances_ZG, axis=1, keepdims=True))
            seeds_ZH = (
                scale_Z1 * generator.standard_normal((n_draws, self._seed_root_HH.shape[1])) @ self._seed_root_HH.T
            )
            errors_ZG -= seeds_ZH @ self._rows_GH.T
        return errors_ZG, moderated_G


def noise_model(values_R: Floats, configurations_R: Integers, seeds_R: Integers) -> NoiseModel | None:
    """The model of these runs; None where no configuration leaves a degree of freedom.

    configurations_R: 0 to G - 1, each at least once. seeds_R: equal numbers are equal seeds; NO_SEED is one of its own.
    """
    n_configurations = int(configurations_R.max()) + 1
    counts_G = np.bincount(configurations_R, minlength=n_configurations)
    plain_G = np.bincount(configurations_R, values_R, n_configurations) / counts_G
    left_R = values_R - plain_G[configurations_R]
    blocks = _Blocks(configurations_R, seeds_R, left_R, counts_G)
    residuals_R = left_R - blocks.fitted_R
    residuals_R -= (np.bincount(configurations_R, residuals_R, n_configurations) / counts_G)[configurations_R]
    sums_G = np.bincount(configurations_R, residuals_R**2, n_configurations).astype(float)
    freedoms_G = np.maximum(0.0, counts_G - 1.0 - blocks.freedoms_G).astype(float)
    freedoms_G[freedoms_G < _RANK_TOLERANCE] = 0.0
    sums_G[freedoms_G == 0] = 0.0
    posterior = variance_posterior(sums_G, freedoms_G)
    if posterior is None:
        return None
    means_G = plain_G - blocks.shares_GH @ blocks.effects_H
    return NoiseModel(
        means_G,
        counts_G,
        posterior,
        len(blocks.effects_H),
        float(np.var(blocks.effects_H, ddof=1)) if len(blocks.effects_H) > 1 else 0.0,
        blocks.shares_GH,
        blocks.root_HH,
    )


class _Blocks:
    """What each seed does to all configurations alike: least squares, beside the means of the configurations."""

    def __init__(self, configurations_R: Integers, seeds_R: Integers, left_R: Floats, counts_G: Integers) -> None:
        n_configurations = len(counts_G)
        shared = _shared_seeds(configurations_R, seeds_R)
        self.shares_GH = np.zeros((n_configurations, len(shared)))
        self.effects_H = np.zeros(len(shared))
        self.root_HH = np.zeros((0, 0))
        self.freedoms_G = np.zeros(n_configurations)  # degrees of freedom that the seeds take from each configuration
        self.fitted_R = np.zeros(len(left_R))
        if len(shared) < 2:
            return
        dummies_RH = (seeds_R[:, None] == shared[None, :]).astype(float)
        np.add.at(self.shares_GH, configurations_R, dummies_RH)
        self.shares_GH /= counts_G[:, None]
        centered_RH = dummies_RH - self.shares_GH[configurations_R]
        ordinary_G = _ordinary(configurations_R, left_R, counts_G)
        if ordinary_G.sum() < 2:
            ordinary_G[:] = True
        used_R = ordinary_G[configurations_R]
        values, vectors = np.linalg.eigh(centered_RH[used_R].T @ centered_RH[used_R])
        kept = values > _RANK_TOLERANCE * max(float(values[-1]), 1.0)
        self.root_HH = vectors[:, kept] / np.sqrt(values[kept])
        inverse_HH = self.root_HH @ self.root_HH.T
        self.effects_H = inverse_HH @ (centered_RH[used_R].T @ left_R[used_R])
        self.fitted_R = centered_RH @ self.effects_H
        leverage_R = np.einsum("ns,st,nt->n", centered_RH, inverse_HH, centered_RH)
        taken_G = np.bincount(configurations_R, np.where(used_R, leverage_R, 0.0), n_configurations)
        self.freedoms_G = taken_G.astype(float)


def _shared_seeds(configurations_R: Integers, seeds_R: Integers) -> Integers:
    """The seeds that at least two configurations with several runs have."""
    pairs = np.unique(np.column_stack([seeds_R, configurations_R]), axis=0)
    seeds, counts = np.unique(pairs[:, 0], return_counts=True)
    return np.asarray(seeds[(counts > 1) & (seeds != NO_SEED)], dtype=np.intp)


def _ordinary(configurations_R: Integers, left_R: Floats, counts_G: Integers) -> NDArray[np.bool_]:
    """Which configurations estimate the effects of the seeds: several runs, and no variance beyond the others'."""
    several_G = counts_G > 1
    sums_G = np.bincount(configurations_R, left_R**2, len(counts_G))
    variances_G = np.divide(sums_G, counts_G - 1.0, out=np.zeros(len(counts_G)), where=several_G)
    typical = float(np.median(variances_G[several_G])) if several_G.any() else 0.0
    return several_G & (variances_G <= _CLEAR_OUTLIER * typical if typical > 0 else several_G)
