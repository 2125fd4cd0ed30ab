"""The effect of one setting, all others equal: differences between runs that differ in nothing else.

Runs that differ only in their seed are averaged first, so a pair is a pair of configurations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.statistics.branches import Branch, branches
from rnnlab.analysis.statistics.contrasts import Contrast, clear_contexts
from rnnlab.analysis.statistics.one_factor import Floats, OneFactor

COLUMNS = [
    "factor",
    "reference",  # the level compared against: off, the lowest number, the first text
    "level",
    "pairs",  # configurations that exist at both levels, neither diverged
    "better",  # pairs in which `level` has the lower metric
    "worse",  # pairs in which it has the higher one
    "mean",  # of metric(level) - metric(reference) over the pairs, weighted by their noise; negative is better
    "low",  # 95 % interval of the mean on this grid, for run-to-run noise; NaN if the noise is unknown
    "high",
    "q25",  # quartiles of the differences: the spread over contexts
    "median",
    "q75",
    "clearly_better",  # pairs in which `level` is lower by more than noise (false discovery rate 5 %)
    "clearly_worse",
    "only_level_diverged",  # pairs left out because one of the two diverged
    "only_reference_diverged",
]


Effect = Mapping[Any, Any]  # one row of a table of effects


@dataclass(frozen=True, eq=False)
class Effects:
    """The paired effects of all settings of a round."""

    table: pd.DataFrame  # columns `COLUMNS`, one row per effect
    contrasts: Sequence[Contrast] = ()  # of the rows, in the same order; empty: nothing is known but the table

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def rows(self) -> Sequence[Effect]:
        """Every effect, in the order of the table."""
        return self.table.to_dict("records")

    @cached_property
    def trees(self) -> Sequence[Branch | None]:
        """What each effect depends on; None for an effect without a pair."""
        if not self.contrasts:
            return [None] * len(self)
        return [branches(one) if len(one) else None for one in self.contrasts]

    @cached_property
    def with_pairs(self) -> "Effects":
        """The effects that at least one pair measures."""
        return self._only(self.table["pairs"] > 0)

    @cached_property
    def without_pairs(self) -> "Effects":
        """The effects that no pair measures."""
        return self._only(self.table["pairs"] == 0)

    def of(self, factors: Sequence[str]) -> "Effects":
        """The effects of these settings."""
        return self._only(self.table["factor"].isin(factors))

    @cached_property
    def clear(self) -> Sequence[Effect]:
        """The effects whose mean, or that of one of their branches, differs from 0 by more than noise."""
        return [row for row, tree in self._clear]

    @cached_property
    def _clear(self) -> Sequence[tuple[Effect, Branch | None]]:
        rows = zip(self.rows, self.trees, strict=True)
        return [(row, tree) for row, tree in rows if is_clear(row) or (tree is not None and is_any_clear(tree))]

    @cached_property
    def strongest(self) -> tuple[Effect, Branch | None] | None:
        """The clear effect that helps most, with its branches; else the one that harms most; None if none is clear.

        Help: the mean over all contexts of what a level lowers the metric by, where it clearly does.
        """
        if not self._clear:
            return None
        helpful = max(self._clear, key=lambda one: _weight(*one, lower=True))
        if _weight(*helpful, lower=True) > 0:
            return helpful
        return max(self._clear, key=lambda one: _weight(*one, lower=False))

    @property
    def is_noise_known(self) -> bool:
        """Whether the effects have intervals."""
        return bool(self.table["low"].notna().any())

    @property
    def most_pairs(self) -> int:
        """The largest number of pairs of an effect; 0 without effects."""
        return int(self.table["pairs"].max()) if len(self) else 0

    @property
    def diverged_pairs(self) -> int:
        """How many pairs are left out because one of the two diverged."""
        return int(self.table[["only_level_diverged", "only_reference_diverged"]].to_numpy().sum())

    def _only(self, chosen: "pd.Series[bool]") -> "Effects":
        if not self.contrasts:
            return Effects(self.table[chosen])
        return Effects(self.table[chosen], [one for one, keep in zip(self.contrasts, chosen, strict=True) if keep])


def paired_effects(tables: Mapping[str, OneFactor], contrasts: Sequence[Contrast]) -> Effects:
    """The effect of each level of each setting that varies, against the lowest level of the setting.

    contrasts: those of the tables (`round_contrasts`), in their order.
    """
    losses = {
        (one.factor, place): (one.losses[:, 0], one.losses[:, place])
        for one in tables.values()
        for place in range(1, len(one.levels))
    }
    marks = clear_contexts(contrasts)
    rows = [
        _row(contrast, clear_X, *of_level)
        for contrast, clear_X, of_level in zip(contrasts, marks, losses.values(), strict=True)
    ]
    return Effects(pd.DataFrame(rows, columns=COLUMNS), contrasts)


def _row(contrast: Contrast, clear_X: Any, reference: Floats, level: Floats) -> dict[str, Any]:
    differences_X = contrast.differences_X
    q25, median, q75 = np.quantile(differences_X, [0.25, 0.5, 0.75]) if len(contrast) else (np.nan,) * 3
    low, high = contrast.interval()
    before, after = np.isfinite(reference), np.isfinite(level)
    there = ~np.isnan(reference) & ~np.isnan(level)
    return {
        "factor": contrast.factor,
        "reference": contrast.reference,
        "level": contrast.level,
        "pairs": len(contrast),
        "better": int((differences_X < 0).sum()),
        "worse": int((differences_X > 0).sum()),
        "mean": contrast.mean(),
        "low": low,
        "high": high,
        "q25": q25,
        "median": median,
        "q75": q75,
        "clearly_better": int((clear_X < 0).sum()),
        "clearly_worse": int((clear_X > 0).sum()),
        "only_level_diverged": int((there & before & ~after).sum()),
        "only_reference_diverged": int((there & ~before & after).sum()),
    }


def is_clear(effect: Effect | Branch) -> bool:
    """Whether the mean of an effect or of a branch differs from 0 by more than noise: its interval excludes 0."""
    low, high = (effect.low, effect.high) if isinstance(effect, Branch) else (effect["low"], effect["high"])
    return bool(low > 0 or high < 0)


def is_any_clear(tree: Branch) -> bool:
    """Whether the effect is clear over all contexts, or in one of its branches."""
    return is_clear(tree) or any(is_clear(leaf) for leaf in tree.leaves)


def equal_pairs(effect: Effect) -> int:
    """Pairs whose two metrics are equal to the last bit, as where a setting has no influence: a bound never reached."""
    return int(effect["pairs"] - effect["better"] - effect["worse"])


def _weight(row: Effect, tree: Branch | None, *, lower: bool) -> float:
    """The mean over all contexts of what a level lowers (or raises) the metric by, where it clearly does."""
    if tree is None:
        return abs(row["mean"]) if (row["mean"] < 0) == lower else 0.0
    told = [leaf for leaf in tree.leaves if is_clear(leaf) and (leaf.mean < 0) == lower]
    return sum(abs(leaf.mean) * leaf.n_contexts for leaf in told) / tree.n_contexts
