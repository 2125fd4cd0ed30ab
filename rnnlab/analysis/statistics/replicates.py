"""Runs of one configuration over several seeds, and which configurations differ significantly from the best.

A seed decides on which windows a run is trained and from which values it starts, so runs with the same seed have much
in common, whatever their settings: they are compared seed by seed. For imported runs this may not hold.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan, sqrt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from rnnlab.analysis.runs import Runs

SIGNIFICANCE = 0.05
POWER = 0.8
MOST_SEEDS = 1000  # a difference that needs more seeds does not matter in practice
PAIRED, WELCH = "paired", "Welch"
_FEWEST_IN_COMMON = 2  # seeds, for a paired test

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Replicates:
    """The configurations of a round, best mean first.

    Columns of the table: the settings, `mean`, `sd` and `n` over the seeds, and the test against the best mean.

    `diverged` is the number of seeds that cannot be compared, which `n` does not count: configurations with such seeds
    come last and are not tested. `sd` is the sample standard deviation (n - 1), NaN for a single run; `low` and `high`
    bound the mean at 95 % (Student).

    `test` is the test by which the configuration was compared with the best mean: paired over the seeds in common, or
    Welch's; None if one of the two has no second run. `difference` is the difference that is tested, `p` the
    probability of one as large among equal configurations, after Holm's correction, and `separable` whether that is
    below 5 %. `seeds_needed` is the number of seeds of both with which a difference like this would be found four times
    in five (`seeds_to_separate`); <NA> if it is unknown or the difference is significant already.

    Ties are sorted by recipe.
    """

    table: pd.DataFrame  # one row per configuration
    runs: Runs  # that the configurations are of

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def steady(self) -> pd.DataFrame:
        """The configurations of which no seed diverged, best first."""
        return self.table[self.table["diverged"] == 0]

    @cached_property
    def best(self) -> "pd.Series[Any] | None":
        """The configuration with the best mean, no seed diverged; None if there is none."""
        return None if self.steady.empty else self.steady.iloc[0]

    @cached_property
    def tied(self) -> pd.DataFrame:
        """The configurations that were tested against the best mean and do not differ from it significantly.

        The best itself is the first of them. Empty if the best ran only once, or every configuration has a seed that
        diverged.
        """
        return self.table[~self.table["separable"].fillna(True).astype(bool)]

    @cached_property
    def several(self) -> "Replicates":
        """The best configuration, and those that ran with several seeds."""
        return Replicates(self.table[(self.table["n"] > 1) | (self.table.index == 0)], self.runs)

    @cached_property
    def repeated(self) -> int:
        """How many configurations have several seeds that can be compared."""
        return int((self.table["n"] > 1).sum())

    @property
    def any_repeated(self) -> bool:
        """Whether a configuration has several seeds that can be compared."""
        return self.repeated > 0

    @property
    def all_repeated(self) -> bool:
        """Whether every configuration ran with several seeds, diverged or not."""
        return bool((self.table["n"] + self.table["diverged"] > 1).all())

    @property
    def none_repeated(self) -> bool:
        """Whether every configuration ran with one seed."""
        return bool((self.table["n"] + self.table["diverged"] == 1).all())

    @property
    def with_diverged(self) -> int:
        """How many configurations have a seed that diverged."""
        return int((self.table["diverged"] > 0).sum())

    def seeds_of(self, recipe: str) -> pd.DataFrame:
        """The runs of a configuration that can be compared."""
        runs = self.runs.comparable.frame
        return runs[runs["recipe"] == recipe]


def replicates(runs: Runs) -> Replicates:
    """The configurations of the finished runs, compared with the best of them."""
    frame, diverged, names = runs.frame, runs.diverged_counts, runs.all.settings
    settings = frame.loc[frame["recipe"].isin(diverged.index)].groupby("recipe", sort=True)[names]
    groups = runs.losses.groupby(runs.comparable.frame["recipe"])
    table = settings.first().assign(mean=groups.mean(), sd=groups.std(ddof=1), n=groups.size(), diverged=diverged)
    table["n"] = table["n"].fillna(0).astype(int)
    table = table.reset_index().sort_values("mean", kind="stable")
    table = table.sort_values("diverged", key=lambda counts: counts > 0, kind="stable").reset_index(drop=True)
    mean, sd, n = (table[name].to_numpy(dtype=float) for name in ("mean", "sd", "n"))
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = stats.t.ppf(1 - SIGNIFICANCE / 2, n - 1) * sd / np.sqrt(n)
    table["low"], table["high"] = mean - reach, mean + reach
    return Replicates(table.assign(**_against_the_first(table, runs.comparable.frame, runs.metric)), runs)


@dataclass(frozen=True)
class _Comparison:
    """A configuration compared with the best: a difference of means, and its uncertainty."""

    test: str
    difference: float
    sds: Sequence[float]  # of one difference of two runs with the same seed; or of one run of each configuration
    sizes: Sequence[int]  # how many values each of these standard deviations is of

    @property
    def p(self) -> float:
        """Two-sided, for this comparison alone."""
        error, freedom = _error(self.sds, self.sizes)
        if error == 0:  # without noise the means are exact
            return 1.0 if self.difference == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.difference) / error, freedom))


def _against_the_first(table: pd.DataFrame, runs: pd.DataFrame, by: str) -> "dict[str, pd.Series[float]]":
    """The columns test, difference, p, separable and seeds_needed of a table of configurations, best first."""
    steady = table.loc[(table["diverged"] == 0) & (table["n"] > 1), "recipe"]
    samples = {recipe: group for recipe, group in runs.groupby("recipe") if recipe in set(steady)}
    best = samples.get(table["recipe"].iloc[0]) if len(table) else None
    found = [
        None if best is None or place == 0 or recipe not in samples else _compared(samples[recipe], best, by)
        for place, recipe in enumerate(table["recipe"])
    ]
    p = _holm(np.array([nan if one is None else one.p for one in found]))
    level = SIGNIFICANCE / max(1, _pairs(p))
    separable = [None if isnan(value) else bool(value < SIGNIFICANCE) for value in p.tolist()]
    needed = [
        seeds_to_separate(one.difference, one.sds, level) if one is not None and told is False else None
        for one, told in zip(found, separable, strict=True)
    ]
    if best is not None:
        separable[0] = False
    return {
        "test": pd.Series([None if one is None else one.test for one in found], dtype=object),
        "difference": pd.Series([nan if one is None else one.difference for one in found], dtype=float),
        "p": pd.Series(p, dtype=float),
        "separable": pd.Series(separable, dtype="boolean"),
        "seeds_needed": pd.Series(needed, dtype="Int64"),
    }


def _compared(one: pd.DataFrame, best: pd.DataFrame, by: str) -> _Comparison:
    """Seed by seed if the two have seeds in common, otherwise as independent samples."""
    losses, best_losses = _by_seed(one, by), _by_seed(best, by)
    common = sorted(losses.keys() & best_losses.keys())
    if len(common) >= _FEWEST_IN_COMMON:
        differences = np.array([losses[seed] - best_losses[seed] for seed in common])
        return _Comparison(PAIRED, float(differences.mean()), [float(differences.std(ddof=1))], [len(common)])
    values = [runs[by].to_numpy(dtype=float) for runs in (one, best)]
    difference = float(values[0].mean() - values[1].mean())
    return _Comparison(WELCH, difference, [float(x.std(ddof=1)) for x in values], [len(x) for x in values])


def _by_seed(runs: pd.DataFrame, by: str) -> Mapping[int, float]:
    """The metric of the runs that were not imported, by seed."""
    here = runs[~runs["imported"]]
    return dict(zip(here["seed"].tolist(), here[by].tolist(), strict=True))


def _error(sds: Sequence[float], sizes: Sequence[int]) -> tuple[float, float]:
    """Standard error of a difference, and its degrees of freedom (Welch and Satterthwaite; n - 1 for one sample)."""
    parts = [sd**2 / n for sd, n in zip(sds, sizes, strict=True)]
    whole = sum(parts)
    if whole == 0:
        return 0.0, nan
    shares = [part / whole for part in parts]
    return sqrt(whole), 1 / sum(share**2 / (n - 1) for share, n in zip(shares, sizes, strict=True))


def _pairs(p: Floats) -> int:
    """The number of pairs of the configurations that were compared, including the best."""
    others = int((~np.isnan(p)).sum())
    return others * (others + 1) // 2


def _holm(p: Floats) -> Floats:
    """p-values corrected for multiple comparisons: Holm, Scandinavian Journal of Statistics 6, 1979. NaN stays.

    The best is selected by the same data, so each comparison is one of all pairs of configurations.
    """
    corrected = p.copy()
    asked = np.flatnonzero(~np.isnan(p))
    order = asked[np.argsort(p[asked], kind="stable")]
    factors = _pairs(p) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return corrected


def seeds_to_separate(difference: float, sds: Sequence[float], level: float = SIGNIFICANCE) -> int | None:
    """Seeds of each of two configurations with which a t-test at this level finds a difference four times in five.

    difference: of the means, assumed to be true. sds, not all 0: of one difference of two runs with the same seed, for
    a paired test; of one run of each configuration, for Welch's test. None: more than 1,000.
    """

    def power(n: int) -> float:
        error, freedom = _error(sds, [n] * len(sds))
        limit = stats.t.ppf(1 - level / 2, freedom)
        return float(stats.nct.sf(limit, freedom, abs(difference) / error))

    if difference == 0:
        return None
    most = range(2, MOST_SEEDS + 1)
    place = bisect_left(most, POWER, key=power)
    return most[place] if place < len(most) else None
