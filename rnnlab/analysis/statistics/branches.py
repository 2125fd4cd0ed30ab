"""What an effect depends on: the contexts of a contrast, split by the settings that change the effect most.

A shallow tree. A branch whose contexts differ by more than noise is split by the setting, or else the pair of settings,
whose values explain most of that. It is not split if noise alone would explain as much (compared with the draws of the
errors), or if the setting explains only a small part.

Shapes: X contexts, Z draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.labels import is_missing
from rnnlab.analysis.levels import levels
from rnnlab.analysis.statistics.contrasts import Contrast, Flags
from rnnlab.analysis.statistics.variances import Floats

_SIGNIFICANCE = 0.01  # of a split: share of the draws in which noise alone explains as much
_LEAST_EXPLAINED = 0.25  # of the variation between contexts, corrected for the number of groups
_DEEPEST = 3  # settings that one branch names
_MOST_GROUPS = 8  # values of the setting that splits
_MOST_DRAWS = 400


@dataclass(frozen=True)
class Branch:
    """Contexts with some settings in common, and the effect in them."""

    where: dict[str, Any]  # what the contexts have in common, in the order of the splits; empty: all contexts
    chosen_X: Flags
    mean: float  # of the differences, weighted (`Contrast.weights_X`)
    low: float  # 95 % interval of the mean; NaN if the noise is unknown
    high: float
    n_contexts: int
    n_lower: int  # contexts with a lower metric
    parts: Sequence["Branch"] = field(default_factory=list)  # how it splits further
    split_by: tuple[str, ...] = ()  # the setting, or the pair of settings

    @property
    def leaves(self) -> list["Branch"]:
        """The branches that are not split."""
        return [leaf for part in self.parts for leaf in part.leaves] if self.parts else [self]


def branches(contrast: Contrast) -> Branch:
    """The tree of a contrast with at least one context; a single branch if the effect is the same in all of them."""
    return _grown(contrast, np.ones(len(contrast), dtype=bool), {}, contrast.weights_X)


def _grown(contrast: Contrast, chosen_X: Flags, where: dict[str, Any], weights_X: Floats) -> Branch:
    low, high = contrast.interval(chosen_X)
    differences = contrast.differences_X[chosen_X]
    split = _best_split(contrast, chosen_X, where, weights_X)
    parts = (
        [
            _grown(contrast, group_X, {**where, **dict(zip(split, values, strict=True))}, weights_X)
            for values, group_X in _groups(contrast.contexts, split, chosen_X)
        ]
        if split
        else []
    )
    return Branch(
        where,
        chosen_X,
        contrast.mean(chosen_X),
        low,
        high,
        len(differences),
        int((differences < 0).sum()),
        parts,
        split,
    )


def _best_split(contrast: Contrast, chosen_X: Flags, where: dict[str, Any], weights_X: Floats) -> tuple[str, ...]:
    """The setting that explains most of the variation in a branch, or else the pair of settings that does.

    Empty if noise may explain as much, or no setting and no pair explains a good part of it.
    """
    if chosen_X.sum() < 2 or not len(contrast.errors_ZX):
        return ()
    free = [str(name) for name in contrast.contexts.columns if name not in where]
    for size in (1, 2):
        if len(where) + size > _DEEPEST:
            break
        found = _best_of(contrast, chosen_X, list(combinations(free, size)), weights_X, is_deep=bool(where))
        if found:
            return found
    return ()


def _best_of(
    contrast: Contrast, chosen_X: Flags, candidates: Sequence[tuple[str, ...]], weights_X: Floats, *, is_deep: bool
) -> tuple[str, ...]:
    weights, values = weights_X[chosen_X], contrast.differences_X[chosen_X]
    errors_ZX = contrast.errors_ZX[:_MOST_DRAWS, chosen_X]
    center = float(weights @ values / weights.sum())
    total = float(weights @ (values - center) ** 2)
    most, explained = 0.0, 0.0
    by_noise_Z = np.zeros(len(errors_ZX))
    chosen: tuple[str, ...] = ()
    for names in candidates:
        groups = [group_X[chosen_X] for _, group_X in _groups(contrast.contexts, names, chosen_X)]
        if not 2 <= len(groups) <= _MOST_GROUPS:
            continue
        if (is_deep or len(names) > 1) and len(values) < 2 * len(groups):  # it would name single contexts
            continue
        # More groups explain more: candidates are compared by their gain for each group beyond the first.
        gain = float(_gain(values[None, :], weights, groups)[0])
        by_noise_Z = np.maximum(by_noise_Z, _gain(errors_ZX, weights, groups) / (len(groups) - 1))
        if gain / (len(groups) - 1) > most:
            most, chosen = gain / (len(groups) - 1), names
            left = (total - gain) / max(1, len(values) - len(groups))
            explained = 1.0 - left * (len(values) - 1) / total if total > 0 else 0.0
    if explained < _LEAST_EXPLAINED or (by_noise_Z >= most).mean() >= _SIGNIFICANCE:
        return ()
    return chosen


def _gain(values_ZX: Floats, weights_X: Floats, groups: Sequence[Flags]) -> Floats:
    """Weighted sum of squares between the groups, for each row."""
    whole = (values_ZX @ weights_X) ** 2 / weights_X.sum()
    parts = [(values_ZX[:, group] @ weights_X[group]) ** 2 / weights_X[group].sum() for group in groups]
    return np.asarray(np.sum(parts, axis=0) - whole, dtype=float)


def _groups(contexts: pd.DataFrame, names: Sequence[str], chosen_X: Flags) -> list[tuple[tuple[Any, ...], Flags]]:
    """The chosen contexts by the values of some of their settings, in the order of the values."""
    orders = [{level: place for place, level in enumerate(levels(contexts[name]))} for name in names]
    columns = [contexts[name].tolist() for name in names]
    found: dict[tuple[Any, ...], Flags] = {}
    for place in np.flatnonzero(chosen_X):
        values = tuple(None if is_missing(column[place]) else column[place] for column in columns)
        found.setdefault(values, np.zeros(len(chosen_X), dtype=bool))[place] = True
    return sorted(found.items(), key=lambda item: [order[value] for order, value in zip(orders, item[0], strict=True)])
