"""What one setting does on this grid: one level against another, in every context.

A context is one value of all other settings. The difference between the two configurations of a context has an error
from run-to-run noise alone: nothing else about the grid is random. The mean over contexts therefore answers "on this
grid", and its interval covers noise, not other grids.

C contexts, Shapes: G configurations, Z draws.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from rnnlab.analysis.statistics.noise_model import Integers, NoiseModel
from rnnlab.analysis.statistics.variances import Floats

CONFIDENCE = 0.95
FALSE_DISCOVERY_RATE = 0.05


@dataclass(frozen=True)
class Contrast:
    """A level of a factor against its reference."""

    factor: str
    reference: Any  # the level compared against: off, the lowest number, the first text
    level: Any
    contexts: pd.DataFrame  # (X, other factors): their values
    references_X: Integers  # configuration with the reference level, in each context
    levels_X: Integers  # configuration with the level
    means_G: Floats
    model: NoiseModel | None  # None: nothing is known of the noise

    @cached_property
    def differences_X(self) -> Floats:
        """Metric at the level minus metric at the reference: negative is better."""
        return self.means_G[self.levels_X] - self.means_G[self.references_X]

    @property
    def mean(self) -> float:
        """Of the differences."""
        return float(self.differences_X.mean()) if len(self.differences_X) else np.nan

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Of the differences: the spread over contexts."""
        low, middle, high = np.quantile(self.differences_X, [0.25, 0.5, 0.75])
        return float(low), float(middle), float(high)

    @property
    def n_lower(self) -> int:
        """Contexts in which the level has the lower metric, whatever the noise."""
        return int((self.differences_X < 0).sum())

    @property
    def n_higher(self) -> int:
        """Contexts in which the level has the higher metric, whatever the noise."""
        return int((self.differences_X > 0).sum())

    @cached_property
    def errors_ZX(self) -> Floats:
        """Draws of the errors of the differences; (0, X) where nothing is known of the noise."""
        if self.model is None:
            return np.zeros((0, len(self.differences_X)))
        return self.model.errors_ZG[:, self.levels_X] - self.model.errors_ZG[:, self.references_X]

    @cached_property
    def standard_errors_X(self) -> Floats:
        """Of the differences; NaN where nothing is known of the noise."""
        if self.model is None:
            return np.full(len(self.differences_X), np.nan)
        se_G = self.model.standard_errors_G
        return np.hypot(se_G[self.levels_X], se_G[self.references_X])

    @cached_property
    def p_values_X(self) -> Floats:
        """Two-sided, of each difference alone: Welch's test with moderated variances and degrees of freedom."""
        if self.model is None:
            return np.full(len(self.differences_X), np.nan)
        se_G, freedoms_G = self.model.standard_errors_G, self.model.freedoms_G
        one, other = se_G[self.levels_X] ** 2, se_G[self.references_X] ** 2
        freedoms = (one + other) ** 2 / (
            one**2 / np.maximum(freedoms_G[self.levels_X], 1.0)
            + other**2 / np.maximum(freedoms_G[self.references_X], 1.0)
        )
        return np.asarray(2.0 * stats.t.sf(np.abs(self.differences_X) / np.sqrt(one + other), freedoms), dtype=float)

    def interval(self, chosen: NDArray[np.bool_] | None = None, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Bounds of the mean over all contexts, or over the chosen ones (X); NaN if the noise is unknown."""
        differences = self.differences_X if chosen is None else self.differences_X[chosen]
        errors_ZX = self.errors_ZX if chosen is None else self.errors_ZX[:, chosen]
        if not len(errors_ZX) or not len(differences):
            return np.nan, np.nan
        tail = (1 - confidence) / 2
        low, high = np.quantile(errors_ZX.mean(axis=1), [tail, 1 - tail])
        mean = float(differences.mean())
        return mean - float(high), mean - float(low)


def contrasts(
    settings: pd.DataFrame, levels: dict[str, Sequence[Any]], means_G: Floats, model: NoiseModel | None
) -> list[Contrast]:
    """Every level of every factor against the factor's lowest level, in every context that has both.

    settings: one row a configuration, one column a factor. levels: of each factor, the reference first.
    """
    codes = np.column_stack([_codes(settings[name], found) for name, found in levels.items()])
    names = list(levels)
    made = []
    for place, name in enumerate(names):
        others = np.delete(codes, place, axis=1)
        _, context_G = np.unique(others, axis=0, return_inverse=True)
        by_level = [
            dict(zip(context_G[codes[:, place] == n], np.flatnonzero(codes[:, place] == n), strict=True))
            for n in range(len(levels[name]))
        ]
        for n in range(1, len(levels[name])):
            common = sorted(by_level[0].keys() & by_level[n].keys())
            first = np.array([by_level[0][c] for c in common], dtype=np.intp)
            second = np.array([by_level[n][c] for c in common], dtype=np.intp)
            contexts = settings.iloc[first][[other for other in names if other != name]].reset_index(drop=True)
            made.append(Contrast(name, levels[name][0], levels[name][n], contexts, first, second, means_G, model))
    return made


def clear_contexts(found: Sequence[Contrast]) -> list[NDArray[np.int_]]:
    """For each context of each contrast: -1 clearly lower, 1 clearly higher, 0 neither.

    The false discovery rate over all contexts of all contrasts is 5 % (Benjamini and Hochberg, JRSS B 57(1), 1995).
    """
    p = np.concatenate([one.p_values_X for one in found]) if found else np.zeros(0)
    known = ~np.isnan(p)
    clear = np.zeros(len(p), dtype=bool)
    if known.any():
        clear[known] = stats.false_discovery_control(p[known]) <= FALSE_DISCOVERY_RATE
    signs = np.concatenate([np.sign(one.differences_X) for one in found]) if found else np.zeros(0)
    marks = np.where(clear, signs, 0).astype(int)
    return np.split(marks, np.cumsum([len(one.differences_X) for one in found])[:-1]) if found else []


def _codes(column: "pd.Series[Any]", levels: Sequence[Any]) -> Integers:
    order = {level: place for place, level in enumerate(levels)}
    return np.array([order[None if pd.isna(value) else value] for value in column.tolist()], dtype=np.intp)
