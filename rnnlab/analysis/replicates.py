"""Runs of one configuration over several seeds, and which of the top configurations cannot be told apart."""

from bisect import bisect_left
from math import sqrt

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from rnnlab.analysis.results import comparable, setting_columns

SIGNIFICANCE = 0.05
POWER = 0.8
MOST_SEEDS = 1000  # a difference that needs more is none in practice
RULE = (
    f"two configurations count as different when Welch's t-test of their seeds gives p < {SIGNIFICANCE:g}, corrected "
    "for the number of comparisons with the best (Holm)"
)

Floats = NDArray[np.float64]


def replicates(frame: pd.DataFrame, by: str = "min_loss") -> pd.DataFrame:
    """One row a configuration, best mean first: its settings, mean, sd and n over the seeds, and the best mean's test.

    sd is the sample standard deviation (n - 1), NaN for a single run; `low` and `high` bound the mean at 95 %
    (Student). `difference` is the distance to the best mean and `p` the chance of one as large among equals, after
    Holm's correction; NaN where one of the two ran only once, and <NA> in `separable` then. `seeds_needed` is the
    number of seeds of both with which Welch's test would tell a difference like this four times in five
    (`seeds_to_separate`); <NA> where that cannot be said or they can be told apart already.

    Ties are ordered by recipe. Raises UsageError for a metric that no result has.
    """
    groups = comparable(frame, by).groupby("recipe", sort=True)
    table = groups[setting_columns(frame)].first()
    table = table.assign(mean=groups[by].mean(), sd=groups[by].std(ddof=1), n=groups[by].size())
    table = table.sort_values("mean", kind="stable").reset_index()
    mean, sd, n = (table[name].to_numpy(dtype=float) for name in ("mean", "sd", "n"))
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = stats.t.ppf(1 - SIGNIFICANCE / 2, n - 1) * sd / np.sqrt(n)
    table["low"], table["high"] = mean - reach, mean + reach
    if table.empty:
        return table.assign(difference=[], p=[], separable=[], seeds_needed=[])
    table["difference"] = mean - mean[0]
    table["p"] = np.concatenate([[np.nan], _holm(_welch(mean[1:] - mean[0], (sd[1:], n[1:]), (sd[0], n[0])))])
    separable = (table["p"] < SIGNIFICANCE).astype("boolean").mask(table["p"].isna())
    if n[0] > 1:
        separable.iloc[0] = False
    table["separable"] = separable
    is_tied = (~separable.fillna(True).astype(bool)).tolist()
    needed = [
        seeds_to_separate(mean[place] - mean[0], sd[place], sd[0]) if is_tied[place] and place > 0 else None
        for place in range(len(table))
    ]
    table["seeds_needed"] = pd.Series(needed, dtype="Int64")
    return table


def _welch(difference: Floats, one: tuple[Floats, Floats], other: tuple[float, float]) -> Floats:
    """Two-sided p-values; `one` and `other` are (sd, n). NaN where an sd is."""
    (sd, n), (sd_0, n_0) = one, other
    part, part_0 = sd**2 / n, sd_0**2 / n_0
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(part + part_0)
        freedom = (part + part_0) ** 2 / (part**2 / (n - 1) + part_0**2 / (n_0 - 1))
        p: Floats = 2 * stats.t.sf(np.abs(difference) / error, freedom)
    # Without any noise the means are what they are.
    return np.where(error == 0, np.where(difference == 0, 1.0, 0.0), p)


def _holm(p: Floats) -> Floats:
    """p-values for as many questions as there are: Holm, Scandinavian Journal of Statistics 6, 1979. NaN stays."""
    corrected = p.copy()
    asked = np.flatnonzero(~np.isnan(p))
    order = asked[np.argsort(p[asked], kind="stable")]
    factors = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors)) if len(order) else p[order]
    return corrected


def seeds_to_separate(difference: float, sd: float, sd_0: float) -> int | None:
    """Seeds of each of two configurations with which Welch's test at 5 % finds this difference four times in five.

    difference: of the means, taken as true; sd, sd_0: of one run of each, at least one above 0. None: more than 1,000.
    """

    def power(n: int) -> float:
        part, part_0 = sd**2 / n, sd_0**2 / n
        freedom = (part + part_0) ** 2 / (part**2 / (n - 1) + part_0**2 / (n - 1))
        shift = abs(difference) / sqrt(part + part_0)
        limit = stats.t.ppf(1 - SIGNIFICANCE / 2, freedom)
        return float(stats.nct.sf(limit, freedom, shift) + stats.nct.cdf(-limit, freedom, shift))

    if difference == 0:
        return None
    most = range(2, MOST_SEEDS + 1)
    place = bisect_left(most, POWER, key=power)
    return most[place] if place < len(most) else None


def not_separable(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a `replicates` table that were tested against the best mean and do not differ from it.

    The best itself is among them; empty where the best ran only once.
    """
    return table[~table["separable"].fillna(True).astype(bool)]
