"""The noise model of a round: from its own seeds, from those of other rounds, or from what the settings leave.

Shapes: G configurations, R runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import pandas as pd

from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.noise_model import NO_SEED, Integers, NoiseModel, noise_model
from rnnlab.analysis.statistics.variance import Decomposition
from rnnlab.analysis.statistics.variances import Floats, VariancePosterior, single_variance, variance_posterior

LEAST_FREEDOM = 3  # degrees of freedom: with fewer, nothing is concluded


class Source(Enum):
    """Where the noise of a round is known from."""

    SEEDS = "seeds"  # of the round itself
    OTHER_ROUNDS = "other rounds"  # seeds that ran in other rounds
    SETTINGS = "settings"  # what main effects and two-way interactions leave: an upper bound


@dataclass(frozen=True)
class RoundNoise:
    """The noise model of the configurations of a round that can be compared, and where it is from."""

    model: NoiseModel  # G configurations, in the order of `recipes`
    recipes: Sequence[str]  # the configurations: no run of them diverged
    source: Source
    rounds: Sequence[str]  # whose runs determine the noise
    configurations: int  # that ran with several seeds there; with `Source.SETTINGS`, all of the round
    freedom: float  # degrees of freedom of the residuals of all of these together, at least `LEAST_FREEDOM`


def noise_from_seeds(runs: Runs, others: Sequence[Runs]) -> RoundNoise | None:
    """The noise of a round by the seeds of its own configurations, or else by those of other rounds with the metric.

    None where both leave fewer than three degrees of freedom. Where taking out what a seed does to all configurations
    leaves fewer, it stays in the noise of each, which is then too large rather than too small.

    Seeds that ran in other rounds are about single runs: if all runs of this round have the same seed, what a seed does
    to all configurations alike is no part of the noise between them; otherwise it is. A run that several of the other
    rounds have counts once.
    """
    table = _steady(runs)
    if table.empty:
        return None
    values_R, configurations_R, recipes = _codes(table, runs.metric)
    own = noise_model(values_R, configurations_R, _seeds(table))
    for model in (own, noise_model(values_R, configurations_R, np.full(len(table), NO_SEED))):
        if model is not None and model.posterior.pooled_freedom >= LEAST_FREEDOM:
            n_repeated = int((model.counts_G > 1).sum())
            return RoundNoise(model, recipes, Source.SEEDS, _rounds(table), n_repeated, model.posterior.pooled_freedom)
    is_alike = bool(table["seed_known"].all()) and table["seed"].nunique() == 1
    pool = _pooled(runs, others, blocks=is_alike or own is not None)
    if pool is None:
        return None
    model = _plain(values_R, configurations_R) if own is None else own
    posterior = _with_prior_of(pool.sums_G, pool.freedoms_G, model.posterior)
    if posterior is None or posterior.pooled_freedom < LEAST_FREEDOM:
        return None
    return RoundNoise(
        replace(model, posterior=posterior),
        recipes,
        Source.OTHER_ROUNDS,
        pool.rounds,
        int((pool.freedoms_G > 0).sum()),
        posterior.pooled_freedom,
    )


def noise_from_settings(runs: Runs, shares: Decomposition) -> RoundNoise | None:
    """The noise of a round by what main effects and two-way interactions leave; None below three degrees of freedom.

    It is an upper bound: interactions of three settings count as noise. All configurations have one variance.
    """
    table = _steady(runs)
    if table.empty or shares.residual_freedom < LEAST_FREEDOM:
        return None
    values_R, configurations_R, recipes = _codes(table, runs.metric)
    posterior = single_variance(shares.residual_sum, shares.residual_freedom, len(recipes))
    model = replace(_plain(values_R, configurations_R), posterior=posterior)
    return RoundNoise(model, recipes, Source.SETTINGS, _rounds(table), len(recipes), float(shares.residual_freedom))


@dataclass(frozen=True)
class _Pool:
    """Sums of squares of the configurations of several rounds."""

    sums_G: Floats
    freedoms_G: Floats
    rounds: Sequence[str]  # those that leave a degree of freedom


def _pooled(runs: Runs, others: Sequence[Runs], blocks: bool) -> _Pool | None:
    """blocks: whether what a seed does to all configurations alike is taken out."""
    seen: set[tuple[str, float]] = set()
    sums, freedoms, rounds = [], [], []
    for other in others:
        if other.metric != runs.metric:
            continue
        table = _steady(other)
        # Imported runs with counted seeds may have equal hashes by chance; their metrics then differ.
        runs_here = list(zip(table["config_hash"], table[runs.metric].astype(float), strict=True))
        table = table[[one not in seen for one in runs_here]]
        seen.update(runs_here)
        if table.empty:
            continue
        values_R, configurations_R, _ = _codes(table, runs.metric)
        seeds_R = _seeds(table) if blocks else np.full(len(table), NO_SEED)
        found = noise_model(values_R, configurations_R, seeds_R)
        if found is not None:
            sums.append(found.posterior.sums_G)
            freedoms.append(found.posterior.freedoms_G)
            rounds += _rounds(table)
    return _Pool(np.concatenate(sums), np.concatenate(freedoms), rounds) if sums else None


def _with_prior_of(sums: Floats, freedoms: Floats, own: VariancePosterior) -> VariancePosterior | None:
    """The configurations of a round, with a prior that other configurations determine together with them."""
    n_configurations = len(own.sums_G)
    whole = variance_posterior(np.concatenate([own.sums_G, sums]), np.concatenate([own.freedoms_G, freedoms]))
    if whole is None:
        return None
    return replace(whole, sums_G=whole.sums_G[:n_configurations], freedoms_G=whole.freedoms_G[:n_configurations])


def _plain(values_R: Floats, configurations_R: Integers) -> NoiseModel:
    """Means without blocks, for a posterior that is known from elsewhere."""
    counts_G = np.bincount(configurations_R)
    n_configurations = len(counts_G)
    nothing_G = np.zeros(n_configurations)
    return NoiseModel(
        np.bincount(configurations_R, values_R) / counts_G,
        counts_G,
        VariancePosterior(nothing_G, nothing_G, np.ones((1, 1)), np.ones(1), 0.0),
        0,
        0.0,
        np.zeros((n_configurations, 0)),
        np.zeros((0, 0)),
    )


def _steady(runs: Runs) -> pd.DataFrame:
    """The runs that can be compared, of configurations of which no run diverged."""
    frame, diverged = runs.comparable.frame, runs.diverged_counts
    return frame[~frame["recipe"].isin(diverged.index[diverged > 0])]


def _codes(table: pd.DataFrame, metric: str) -> tuple[Floats, Integers, list[str]]:
    codes, recipes = pd.factorize(table["recipe"], sort=True)
    return table[metric].to_numpy(dtype=float), np.asarray(codes, dtype=np.intp), [str(recipe) for recipe in recipes]


def _seeds(table: pd.DataFrame) -> Integers:
    """The seed of each run, as a code. Seeds that an import counted are none: rows may be sorted by loss.

    Seeds that an import read are used like those of runs trained here: if they do nothing in common to the
    configurations, the blocks only cost degrees of freedom.
    """
    codes, _ = pd.factorize(table["seed"])
    return np.where(table["seed_known"].to_numpy(dtype=bool), codes, NO_SEED).astype(np.intp)


def _rounds(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table["round"].unique()]
