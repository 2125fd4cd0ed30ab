"""Two settings that depend on each other: the effect of one at the ends of the range of the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from rnnlab.analysis.levels import at_level, levels
from rnnlab.analysis.statistics.one_factor import OneFactor
from rnnlab.analysis.statistics.variance import Decomposition

_FEWEST_PAIRS = 6  # at each end
_LEAST_INTERACTION = 0.01  # of the variance


@dataclass(frozen=True)
class Dependence:
    """The effect of the last level of a setting against its first, at the first and the last level of another."""

    changed: str  # the setting whose effect this is
    at: str  # the other setting
    share: float  # of the variance that the two explain together beyond their own effects, 0..1
    levels: tuple[Any, Any]  # of `changed`: first, last
    ends: tuple[Any, Any]  # of `at`: first, last
    medians: tuple[float, float]  # median difference at each of the ends
    pairs: int  # at each end, all other settings equal


def strongest_dependence(shares: Decomposition, tables: Mapping[str, OneFactor]) -> Dependence | None:
    """The pair of settings that explains most beyond its main effects.

    The medians are over the same combinations of all other settings at both ends: otherwise they would differ in more
    than this. None if these are fewer than six, or no pair explains a hundredth of the variance.
    """
    if not shares.interactions:
        return None
    (changed, at), share = next(iter(shares.interactions.items()))
    if not share >= _LEAST_INTERACTION:  # true for an unknown share too
        return None
    if shares.main[changed] > shares.main[at]:
        changed, at = at, changed
    one = tables[changed]
    found = levels(one.others[at])
    ends = found[0], found[-1]
    first, last = (_differences(one, at, level) for level in ends)
    both = first.keys() & last.keys()
    if len(both) < _FEWEST_PAIRS:
        return None
    medians = median(first[context] for context in both), median(last[context] for context in both)
    return Dependence(changed, at, share, (one.levels[0], one.levels[-1]), ends, medians, len(both))


def _differences(one: OneFactor, at: str, level: Any) -> dict[tuple[Any, ...], float]:
    """The metric at the last level of a factor minus that at its first, where another setting has this level.

    By the values of the remaining factors; pairs with a missing or diverged run are left out.
    """
    others = one.others.reset_index(drop=True)
    finite = np.isfinite(one.losses[:, [0, -1]]).all(axis=1)
    here = finite & at_level(others[at], level).to_numpy(dtype=bool)
    rest = others.loc[here].drop(columns=at).astype(object)
    differences = one.losses[here, -1] - one.losses[here, 0]
    contexts = rest.where(rest.notna(), None).itertuples(index=False, name=None)
    return dict(zip(contexts, differences.tolist(), strict=True))
