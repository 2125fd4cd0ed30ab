"""The effect of one setting on this grid: one level against another, in every context.

A context is one value of all other settings, and a pair is the two configurations of a context. Their difference has an
error from run-to-run noise alone: nothing else about the grid is random. The mean over contexts therefore answers "on
this grid", and its interval covers noise, not other grids.

Shapes: X contexts, G configurations, Z draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from rnnlab.analysis.levels import at_level
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.noise_model import Integers, NoiseModel
from rnnlab.analysis.statistics.one_factor import OneFactor
from rnnlab.analysis.statistics.round_noise import RoundNoise
from rnnlab.analysis.statistics.variances import Floats

CONFIDENCE = 0.95
FALSE_DISCOVERY_RATE = 0.05

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Side:
    """The configurations of one level: one in each context, or several where a level is a range of numbers."""

    members: Integers  # configurations, by context
    starts_X: Integers  # place of the first of each context
    counts_X: Integers  # how many each context has, at least 1

    def mean(self, values_G: Floats) -> Floats:
        """(X): the mean of each context."""
        return np.asarray(np.add.reduceat(values_G[self.members], self.starts_X) / self.counts_X, dtype=float)

    def errors(self, errors_ZG: Floats) -> Floats:
        """(Z, X): draws of the errors of these means."""
        errors_ZX = errors_ZG[:, self.members]
        if len(self.members) > len(self.starts_X):
            errors_ZX = np.add.reduceat(errors_ZX, self.starts_X, axis=1) / self.counts_X
        return np.asarray(errors_ZX, dtype=float)

    def variance(self, variances_G: Floats) -> Floats:
        """(X): the variances of the errors of these means."""
        return np.asarray(np.add.reduceat(variances_G[self.members], self.starts_X) / self.counts_X**2, dtype=float)

    def freedom(self, freedoms_G: Floats) -> Floats:
        """(X): the smallest degrees of freedom of each context, at least 1."""
        return np.maximum(1.0, np.minimum.reduceat(freedoms_G[self.members], self.starts_X))


@dataclass(frozen=True, eq=False)
class Contrast:
    """A level of a factor against its reference."""

    factor: str
    reference: Any  # the level compared against: off, the lowest number, the first text
    level: Any
    contexts: pd.DataFrame  # (X, other factors): their values
    at_reference: Side
    at_level: Side
    means_G: Floats
    model: NoiseModel | None  # None: the noise is unknown

    def __len__(self) -> int:
        return len(self.contexts)

    @cached_property
    def differences_X(self) -> Floats:
        """Metric at the level minus metric at the reference: negative is better."""
        if not len(self):
            return np.zeros(0)
        return self.at_level.mean(self.means_G) - self.at_reference.mean(self.means_G)

    @cached_property
    def errors_ZX(self) -> Floats:
        """Draws of the errors of the differences; (0, X) if the noise is unknown."""
        if self.model is None or not len(self):
            return np.zeros((0, len(self)))
        return self.at_level.errors(self.model.errors_ZG) - self.at_reference.errors(self.model.errors_ZG)

    @cached_property
    def standard_errors_X(self) -> Floats:
        """Of the differences; NaN if the noise is unknown."""
        if self.model is None or not len(self):
            return np.full(len(self), np.nan)
        variances_G = self.model.standard_errors_G**2
        return np.sqrt(self.at_level.variance(variances_G) + self.at_reference.variance(variances_G))

    @cached_property
    def p_values_X(self) -> Floats:
        """Two-sided, of each difference alone: Welch's test with moderated variances and degrees of freedom."""
        if self.model is None or not len(self):
            return np.full(len(self), np.nan)
        variances_G, freedoms_G = self.model.standard_errors_G**2, self.model.freedoms_G
        sides = (self.at_level, self.at_reference)
        parts = [(side.variance(variances_G), side.freedom(freedoms_G)) for side in sides]
        whole = sum(variance for variance, _ in parts)
        freedoms = whole**2 / sum(variance**2 / freedom for variance, freedom in parts)
        return np.asarray(2.0 * stats.t.sf(np.abs(self.differences_X) / np.sqrt(whole), freedoms), dtype=float)

    @cached_property
    def weights_X(self) -> Floats:
        """Weights of the pairs in a mean: 1 / (noise variance + variance between contexts), their largest is 1.

        DerSimonian and Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 7(3), 1986. Pairs count
        about equally, except those with an unstable configuration, which says little.
        """
        noise, differences = self.standard_errors_X**2, self.differences_X
        if len(self) < 2 or np.isnan(noise).any() or (noise <= 0).any():
            return np.ones(len(self))
        w = 1.0 / noise
        center = float(w @ differences / w.sum())
        q = float(w @ (differences - center) ** 2)
        between = max(0.0, (q - (len(w) - 1)) / (w.sum() - float(w @ w) / w.sum()))
        weights = 1.0 / (noise + between)
        return np.asarray(weights / weights.max(), dtype=float)

    def mean(self, chosen_X: Flags | None = None) -> float:
        """The weighted mean of the differences over all contexts, or over the chosen ones (X); NaN without any."""
        weights = self.weights_X if chosen_X is None else self.weights_X * chosen_X
        return float(weights @ self.differences_X / weights.sum()) if len(self) else np.nan

    def interval(self, chosen_X: Flags | None = None) -> tuple[float, float]:
        """95 % bounds of this mean; NaN if the noise is unknown."""
        if not len(self.errors_ZX):
            return np.nan, np.nan
        weights = self.weights_X if chosen_X is None else self.weights_X * chosen_X
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(self.errors_ZX @ (weights / weights.sum()), [tail, 1 - tail])
        mean = self.mean(chosen_X)
        return mean - float(high), mean - float(low)


def round_contrasts(runs: Runs, tables: Mapping[str, OneFactor], noise: RoundNoise | None) -> list[Contrast]:
    """Every level of every factor against the factor's lowest level, in every context that has both.

    Configurations of which a run diverged take no part. noise: of these runs, or of a round that they are part of.
    """
    means = _means(runs, noise)
    rows = runs.in_ranges.finished.frame
    settings = rows[rows["recipe"].isin(means.index)].groupby("recipe", sort=True)[list(tables)].first()
    places_G = np.array([means.index.get_loc(recipe) for recipe in settings.index], dtype=np.intp)
    means_G = np.asarray(means.to_numpy(dtype=float), dtype=np.float64)
    model = None if noise is None else noise.model
    made = []
    for name, one in tables.items():
        others = [other for other in tables if other != name]
        contexts, first, row = _contexts(settings, others)
        at: list[Integers] = [np.flatnonzero(at_level(settings[name], level)) for level in one.levels]
        for level, members in zip(one.levels[1:], at[1:], strict=True):
            common = np.intersect1d(row[at[0]], row[members])
            sides = [_side(places_G, row, side, common) for side in (at[0], members)]
            here = contexts.iloc[first[common]].reset_index(drop=True)
            made.append(Contrast(name, one.levels[0], level, here, sides[0], sides[1], means_G, model))
    return made


def _means(runs: Runs, noise: RoundNoise | None) -> "pd.Series[float]":
    """The mean of each configuration without a diverged run, by recipe; those of the noise model if there is one."""
    if noise is not None:
        return pd.Series(noise.model.means_G, index=list(noise.recipes))
    frame, diverged = runs.comparable.frame, runs.diverged_counts
    steady = frame[~frame["recipe"].isin(diverged.index[diverged > 0])]
    return steady.groupby("recipe", sort=True)[runs.metric].mean()


def _contexts(settings: pd.DataFrame, others: Sequence[str]) -> tuple[pd.DataFrame, Integers, Integers]:
    """The settings of all other factors, the first configuration of each context, the context of each configuration."""
    codes = [pd.factorize(settings[name])[0] for name in others]
    table = np.column_stack([*codes, np.zeros(len(settings), dtype=np.intp)])
    _, first, row = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return settings[others], np.asarray(first, dtype=np.intp), np.asarray(row, dtype=np.intp).ravel()


def _side(places_G: Integers, row_G: Integers, members: Integers, common: Integers) -> Side:
    kept = members[np.isin(row_G[members], common)]
    kept = kept[np.argsort(row_G[kept], kind="stable")]
    _, starts, counts = np.unique(row_G[kept], return_index=True, return_counts=True)
    return Side(places_G[kept], np.asarray(starts, dtype=np.intp), np.asarray(counts, dtype=np.intp))


def clear_contexts(found: Sequence[Contrast]) -> list[NDArray[np.int_]]:
    """For each context of each contrast: -1 clearly lower, 1 clearly higher, 0 neither.

    The false discovery rate over all contexts of all contrasts is 5 % (Benjamini and Hochberg, JRSS B 57(1), 1995).
    """
    if not found:
        return []
    p = np.concatenate([one.p_values_X for one in found])
    known = ~np.isnan(p)
    clear = np.zeros(len(p), dtype=bool)
    if known.any():
        clear[known] = stats.false_discovery_control(p[known]) <= FALSE_DISCOVERY_RATE
    signs = np.concatenate([np.sign(one.differences_X) for one in found])
    marks = np.where(clear, signs, 0).astype(int)
    return np.split(marks, np.cumsum([len(one) for one in found])[:-1])
