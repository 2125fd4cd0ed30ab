"""What one setting does, all others equal: differences between runs that differ in nothing else.

Runs that differ only in their seed are averaged first, so that a pair is a pair of configurations.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from rnnlab.analysis.runs import restrict
from rnnlab.analysis.statistics.one_factor import Floats, one_factor_tables
from rnnlab.analysis.statistics.ranges import in_ranges

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


def paired_effects(frame: pd.DataFrame, by: str = "min_loss", where: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The effect of each level of each setting that varies, against the setting's lowest level; one row each.

    `where` restricts the runs to those with the given settings. A run without a finite metric counts as diverged. The
    levels of a setting with more than 30 numbers are ranges of them (`in_ranges`).
    Raises UsageError for a metric that no result has or a name in `where` that is no setting.
    """
    runs = in_ranges(frame).loc[restrict(frame, where or {}).index]
    rows = [
        {"factor": table.factor, "reference": table.levels[0], "level": level, **_effect(table.losses[:, 0], losses)}
        for table in one_factor_tables(runs, by).values()
        for level, losses in zip(table.levels[1:], table.losses.T[1:], strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


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
