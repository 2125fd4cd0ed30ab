"""What one setting does, all others equal: differences between runs that differ in nothing else.

Runs that differ only in their seed are averaged first, so that a pair is a pair of configurations.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.results import at_level, comparable, factors, finished, levels, restrict, setting_columns

COLUMNS = [
    "factor",
    "reference",  # the level compared against: off, the lowest number, the first text
    "level",
    "pairs",  # configurations that exist at both levels, neither diverged
    "better",  # pairs in which `level` has the lower metric
    "worse",  # pairs in which it has the higher one
    "median",  # of metric(level) - metric(reference) over the pairs; negative is better
    "q25",
    "q75",
    "only_level_diverged",  # pairs left out because one of the two diverged
    "only_reference_diverged",
]


def paired_effects(frame: pd.DataFrame, by: str = "min_loss", where: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """The effect of each level of each setting that varies, against the setting's lowest level; one row each.

    `where` restricts the runs to those with the given settings. A run without a finite metric counts as diverged.
    Raises UsageError for a metric that no result has or a name in `where` that is no setting.
    """
    runs = finished(restrict(frame, where or {}))
    good = comparable(frame, by).index
    losses = runs[by].where(runs.index.isin(good), np.inf)
    # One diverged seed makes the mean infinite: the configuration does diverge.
    configs = runs.assign(_loss=losses).groupby("recipe", sort=False)
    means = configs["_loss"].mean().to_numpy()
    settings = configs[setting_columns(frame)].first()
    names = factors(runs)
    # Levels as integers, so that a configuration is a plain tuple; a setting that a job does not have is -1.
    codes = np.array([pd.factorize(settings[name])[0] for name in names]).reshape(len(names), len(settings)).T
    rows = []
    for place, name in enumerate(names):
        context = codes.copy()
        context[:, place] = 0
        loss_of = [
            dict(zip(map(tuple, context[here].tolist()), means[here].tolist(), strict=True))
            for here in (at_level(settings[name], level).to_numpy() for level in levels(runs[name]))
        ]
        reference, *others = levels(runs[name])
        for level, losses_at_level in zip(others, loss_of[1:], strict=True):
            rows.append(
                {"factor": name, "reference": reference, "level": level, **_effect(loss_of[0], losses_at_level)}
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _effect(reference: Mapping[Any, float], level: Mapping[Any, float]) -> dict[str, Any]:
    pairs = np.array([(reference[context], level[context]) for context in reference if context in level])
    before, after = pairs.reshape(-1, 2).T
    both = np.isfinite(before) & np.isfinite(after)
    differences = after[both] - before[both]
    q25, median, q75 = np.quantile(differences, [0.25, 0.5, 0.75]) if both.any() else (np.nan,) * 3
    return {
        "pairs": len(differences),
        "better": int((differences < 0).sum()),
        "worse": int((differences > 0).sum()),
        "median": median,
        "q25": q25,
        "q75": q75,
        "only_level_diverged": int((np.isfinite(before) & ~np.isfinite(after)).sum()),
        "only_reference_diverged": int((~np.isfinite(before) & np.isfinite(after)).sum()),
    }


def variance_explained(frame: pd.DataFrame, by: str = "min_loss") -> "pd.Series[float]":
    """Share of the variance of `by` between the levels of each varying setting (eta squared, 0..1), largest first.

    The main effect alone; the shares of a balanced grid add up to at most 1, those of an unbalanced one may overlap.
    Raises UsageError for a metric that no result has.
    """
    runs = comparable(frame, by)
    total = ((runs[by] - runs[by].mean()) ** 2).sum()
    shares = {}
    for name in factors(runs):
        means = runs.groupby(name, dropna=False)[by].transform("mean")
        shares[name] = float(((means - runs[by].mean()) ** 2).sum() / total) if total > 0 else 0.0
    return pd.Series(shares, dtype=float).sort_values(ascending=False, kind="stable")
