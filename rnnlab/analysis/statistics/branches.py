"""What an effect depends on: the contexts of a contrast, split by the settings that change the effect most.

A shallow tree. A branch is split where its contexts differ by more than noise, and by the setting whose values explain most
of that; it is not split where noise alone would explain as much (compared with the draws of the errors), or where the
setting explains only a small part.

C contexts, G groups, D draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.statistics.contrasts import Contrast
from rnnlab.analysis.statistics.variances import Floats

_SIGNIFICANCE = 0.01  # of a split: share of the draws in which noise alone explains as much
_LEAST_EXPLAINED = 0.25  # of the variation between contexts, corrected for the number of groups
_DEEPEST = 3  # settings that one branch names
_MOST_GROUPS = 8  # values of the setting that splits
_MOST_DRAWS = 1000

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Branch:
    """Contexts with some settings in common, and the effect in them."""

    where: dict[str, Any]  # what the contexts have in common, in the order of the splits; empty: all contexts
    chosen_C: Flags
    mean: float  # of the differences
    low: float  # 95 % interval of the mean; NaN where nothing is known of the noise
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
    """The tree of a contrast; a single branch where the effect is the same everywhere, as far as noise lets one see."""
    weights_C = _weights(contrast)
    return _grown(contrast, np.ones(len(contrast.differences_C), dtype=bool), {}, weights_C)


def _grown(contrast: Contrast, chosen_C: Flags, where: dict[str, Any], weights_C: Floats) -> Branch:
    low, high = contrast.interval(chosen_C)
    differences = contrast.differences_C[chosen_C]
    split = _best_split(contrast, chosen_C, where, weights_C)
    parts = (
        [
            _grown(contrast, group_C, {**where, **dict(zip(split, values, strict=True))}, weights_C)
            for values, group_C in _groups(contrast.contexts, split, chosen_C)
        ]
        if split
        else []
    )
    return Branch(
        where,
        chosen_C,
        float(differences.mean()),
        low,
        high,
        len(differences),
        int((differences < 0).sum()),
        parts,
        split,
    )


def _weights(contrast: Contrast) -> Floats:
    """Of the contexts: 1 / (noise variance + variance between contexts; DerSimonian and Laird, 1986)."""
    differences, noise = contrast.differences_C, contrast.standard_errors_C**2
    if np.isnan(noise).any() or len(differences) < 2:
        return np.ones(len(differences))
    w = 1.0 / np.maximum(noise, np.finfo(float).tiny)
    center = float(w @ differences / w.sum())
    q = float(w @ (differences - center) ** 2)
    between = max(0.0, (q - (len(w) - 1)) / (w.sum() - float(w @ w) / w.sum()))
    return 1.0 / (noise + between) if (noise + between > 0).all() else np.ones(len(differences))


def _best_split(contrast: Contrast, chosen_C: Flags, where: dict[str, Any], weights_C: Floats) -> tuple[str, ...]:
    """The setting that explains most of the variation in a branch, or else the pair of settings that does.

    Empty if noise may explain as much, or no setting and no pair explains a good part of it.
    """
    if chosen_C.sum() < 2 or not len(contrast.errors_DC):
        return ()
    free = [str(name) for name in contrast.contexts.columns if name not in where]
    for size in (1, 2):
        if len(where) + size > _DEEPEST:
            break
        found = _best_of(contrast, chosen_C, list(combinations(free, size)), weights_C)
        if found:
            return found
    return ()


def _best_of(
    contrast: Contrast, chosen_C: Flags, candidates: Sequence[tuple[str, ...]], weights_C: Floats
) -> tuple[str, ...]:
    weights, values = weights_C[chosen_C], contrast.differences_C[chosen_C]
    errors_DC = contrast.errors_DC[:_MOST_DRAWS, chosen_C]
    center = float(weights @ values / weights.sum())
    total = float(weights @ (values - center) ** 2)
    most, explained = 0.0, 0.0
    by_noise_D = np.zeros(len(errors_DC))
    chosen: tuple[str, ...] = ()
    for names in candidates:
        groups = [group_C[chosen_C] for _, group_C in _groups(contrast.contexts, names, chosen_C)]
        if not 2 <= len(groups) <= _MOST_GROUPS:
            continue
        # More groups explain more: candidates are compared by their gain for each group beyond the first.
        gain = float(_gain(values[None, :], weights, groups)[0])
        by_noise_D = np.maximum(by_noise_D, _gain(errors_DC, weights, groups) / (len(groups) - 1))
        if gain / (len(groups) - 1) > most:
            most, chosen = gain / (len(groups) - 1), names
            left = (total - gain) / max(1, len(values) - len(groups))
            explained = 1.0 - left * (len(values) - 1) / total if total > 0 else 0.0
    if explained < _LEAST_EXPLAINED or (by_noise_D >= most).mean() >= _SIGNIFICANCE:
        return ()
    return chosen


def _gain(values_DC: Floats, weights_C: Floats, groups: Sequence[Flags]) -> Floats:
    """Weighted sum of squares between the groups, for each row."""
    whole = (values_DC @ weights_C) ** 2 / weights_C.sum()
    parts = [(values_DC[:, group] @ weights_C[group]) ** 2 / weights_C[group].sum() for group in groups]
    return np.sum(parts, axis=0) - whole


def _groups(contexts: pd.DataFrame, names: Sequence[str], chosen_C: Flags) -> list[tuple[tuple[Any, ...], Flags]]:
    """The chosen contexts by the values of some of their settings, in the order of the values."""
    columns = [contexts[name].tolist() for name in names]
    found: dict[tuple[Any, ...], Flags] = {}
    for place in np.flatnonzero(chosen_C):
        values = tuple(None if pd.isna(column[place]) else column[place] for column in columns)
        found.setdefault(values, np.zeros(len(chosen_C), dtype=bool))[place] = True
    return sorted(found.items(), key=lambda item: [(x is not None, isinstance(x, str), x) for x in item[0]])
