"""The effect of one setting, all others equal: differences between runs that differ in nothing else.

Runs that differ only in their seed are averaged first, so a pair is a pair of configurations.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from rnnlab.analysis.statistics.one_factor import Floats, OneFactor

FEWEST_PAIRS = 6  # with fewer, not even unanimous pairs are clear
_SIGNIFICANCE = 0.05

COLUMNS = [
    "factor",
    "reference",  # the level compared against: off, the lowest number, the first text
    "level",
    "pairs",  # configurations that exist at both levels, neither diverged
    "better",  # pairs in which `level` has the lower metric
    "worse",  # pairs in which it has the higher one
    "median",  # of metric(level) - metric(reference) over the pairs; negative is better
    "low",  # 95 % interval of the median over configurations like these; NaN for fewer than six pairs
    "high",
    "q25",
    "q75",
    "only_level_diverged",  # pairs left out because one of the two diverged
    "only_reference_diverged",
]


Effect = Mapping[Any, Any]  # one row of a table of effects


@dataclass(frozen=True, eq=False)
class Effects:
    """The paired effects of all settings of a round."""

    table: pd.DataFrame  # columns `COLUMNS`, one row per effect

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def rows(self) -> Sequence[Effect]:
        """Every effect, in the order of the table."""
        return self.table.to_dict("records")

    @cached_property
    def with_pairs(self) -> "Effects":
        """The effects that at least one pair measures."""
        return Effects(self.table[self.table["pairs"] > 0])

    @cached_property
    def without_pairs(self) -> "Effects":
        """The effects that no pair measures."""
        return Effects(self.table[self.table["pairs"] == 0])

    @cached_property
    def clear(self) -> Sequence[Effect]:
        """The effects whose direction a sign test confirms (`is_clear`)."""
        return [row for row in self.rows if is_clear(row)]

    @property
    def strongest(self) -> Effect | None:
        """The clear effect with the largest median; None if none is clear."""
        return max(self.clear, key=lambda row: abs(row["median"])) if self.clear else None

    @property
    def most_pairs(self) -> int:
        """The largest number of pairs of an effect; 0 without effects."""
        return int(self.table["pairs"].max()) if len(self) else 0

    @property
    def diverged_pairs(self) -> int:
        """How many pairs are left out because one of the two diverged."""
        return int(self.table[["only_level_diverged", "only_reference_diverged"]].to_numpy().sum())


def paired_effects(tables: Mapping[str, OneFactor]) -> Effects:
    """The effect of each level of each setting that varies, against the lowest level of the setting."""
    rows = [
        {"factor": one.factor, "reference": one.levels[0], "level": level, **_effect(one.losses[:, 0], losses)}
        for one in tables.values()
        for level, losses in zip(one.levels[1:], one.losses.T[1:], strict=True)
    ]
    return Effects(pd.DataFrame(rows, columns=COLUMNS))


def is_clear(effect: Effect) -> bool:
    """Whether an exact two-sided sign test gives p < 0.05: better against worse pairs, ties left out.

    Without ties this is equivalent to an interval of the median, made of the same counts, that excludes zero.
    """
    fewer, decided = min(effect["better"], effect["worse"]), effect["better"] + effect["worse"]
    return bool(2 * binom.cdf(fewer, decided, 0.5) < _SIGNIFICANCE)


def equal_pairs(effect: Effect) -> int:
    """Pairs whose two metrics are equal to the last bit, as where a setting has no influence: a bound never reached."""
    return int(effect["pairs"] - effect["better"] - effect["worse"])


def _effect(reference: Floats, level: Floats) -> dict[str, Any]:
    there = ~np.isnan(reference) & ~np.isnan(level)
    before, after = reference[there], level[there]
    both = np.isfinite(before) & np.isfinite(after)
    differences = after[both] - before[both]
    q25, median, q75 = np.quantile(differences, [0.25, 0.5, 0.75]) if both.any() else (np.nan,) * 3
    low, high = median_interval(differences)
    return {
        "pairs": len(differences),
        "better": int((differences < 0).sum()),
        "worse": int((differences > 0).sum()),
        "median": median,
        "low": low,
        "high": high,
        "q25": q25,
        "q75": q75,
        "only_level_diverged": int((np.isfinite(before) & ~np.isfinite(after)).sum()),
        "only_reference_diverged": int((~np.isfinite(before) & np.isfinite(after)).sum()),
    }


def median_interval(values: Floats, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds that hold the median of the distribution behind `values` at least this often, whatever its shape.

    They are two order statistics: the number of values below the median is binomial with p = 1/2 (Conover, "Practical
    Nonparametric Statistics", 3.2). NaN where there are too few values: fewer than six at 95 %.
    """
    rank = int(binom.ppf((1 - confidence) / 2, len(values), 0.5)) if len(values) else 0
    if rank < 1:
        return math.nan, math.nan
    ordered = np.sort(values)
    return float(ordered[rank - 1]), float(ordered[len(values) - rank])
