"""How much of a metric's variance each setting explains, alone and in pairs: eta squared of an analysis of variance.

The model has all main effects and all two-way interactions. The sum of squares of a term is what the fit loses without
it, among the terms that do not contain it (type II; see Langsrud, "ANOVA for unbalanced data: use type II instead of
type III sums of squares", Statistics and Computing 13, 2003). On a balanced complete grid that is the classical
decomposition: the shares do not overlap, and add up to 1 with the residual.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan, nan
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.ranges import ranged
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.outliers import limits

LEAST_SHOWN = 0.0005  # a smaller share is shown as 0.0 %
_MOST_LEVELS = 100  # of one setting
_ALWAYS_LEVELS = 6  # this many are never too many
_MOST_COLUMNS = 400  # of the design matrix, about a second of work
_RANK_TOLERANCE = 1e-9  # relative: smaller singular values are rounding
_MOST_OF_ONE = 0.25  # of the sum of squares, contributed by one run
_SHOWN_DECIMALS = 3  # of a share

Term = tuple[str, ...]  # one setting, or two
_Matrix = NDArray[np.float64]
_Key = TypeVar("_Key", str, tuple[str, str])


@dataclass(frozen=True)
class Clipping:
    """Values that count as lower ones, because one of them alone contributes much of the sum of squares."""

    high: float  # the value that larger ones count as
    above: int  # how many runs are above it; at least one
    worst: float  # the largest value
    share: float  # of the sum of squares that the worst contributes, 0..1


@dataclass(frozen=True)
class Decomposition:
    """Shares of the total variance, 0..1. All are zero if every run has the same value.

    NaN: the effect of the term cannot be separated from that of others, because it varies with them.
    """

    main: Mapping[str, float]  # by setting, largest first
    interactions: Mapping[tuple[str, str], float]  # by pair of settings in payload order, largest first
    residual: float  # not explained by main effects and two-way interactions
    runs: int  # number of runs
    varies: bool  # whether the runs differ at all
    exact: bool  # a balanced complete grid: the shares add up to 1 with the residual
    left_out: Sequence[str] = ()  # settings that vary, but have too many levels
    ranged: Sequence[str] = ()  # settings whose levels are ranges
    clipping: Clipping | None = None  # which values were clipped; None if none was
    residual_sum: float = 0.0  # sum of squares that main effects and two-way interactions leave, 0 or more
    residual_freedom: int = 0  # its degrees of freedom; 0 if the model has no two-way interactions

    @property
    def common(self) -> float:
        """What is explained but belongs to no single term: settings that vary together share it."""
        known = [share for share in [*self.main.values(), *self.interactions.values()] if not isnan(share)]
        return max(0.0, 1 - self.residual - sum(known)) if self.varies and self.main else 0.0

    @property
    def largest(self) -> float:
        """The largest known share of a setting or a pair; 0 if none is known."""
        known = [share for share in [*self.main.values(), *self.interactions.values()] if not isnan(share)]
        return max(known, default=0.0)

    @property
    def most_involved(self) -> list[str]:
        """The settings, sorted by the sum of their own share and those of their pairs, largest first."""
        total = {
            name: np.nansum([share, *(both for pair, both in self.interactions.items() if name in pair)])
            for name, share in self.main.items()
        }
        return sorted(total, key=lambda name: -total[name])

    def matrix(self, names: Sequence[str]) -> _Matrix:
        """(n, n): on the diagonal the share of each setting, below it that of each pair, NaN above it."""
        matrix = np.full((len(names), len(names)), np.nan)
        for row, name in enumerate(names):
            matrix[row, row] = self.main[name]
            for column, other in enumerate(names[:row]):
                matrix[row, column] = self._of_pair(name, other)
        return matrix

    def _of_pair(self, one: str, other: str) -> float:
        return self.interactions.get((one, other), self.interactions.get((other, one), nan))


def decompose(all_runs: Runs) -> Decomposition:
    """The shares of the settings that vary among the runs that can be compared; each run of several seeds counts.

    The levels of a setting with more than 30 numbers are ranges of them. A setting with more than 100 levels, or
    (beyond six) a level for every second run, is left out: it would explain anything. If one run contributes more than
    a quarter of the sum of squares, values are clipped as in the pictures (`outliers.limits`): otherwise the shares
    would be those of one run.
    """
    rows, by = all_runs.in_ranges.comparable, all_runs.metric
    runs, varying = rows.frame, rows.factors
    most = min(_MOST_LEVELS, max(_ALWAYS_LEVELS, len(runs) // 2))
    names = [name for name in varying if runs[name].nunique(dropna=False) <= most]
    measured, clipping = _without_outliers(runs[by].to_numpy(dtype=float))
    values = measured - measured.mean() if len(measured) else measured
    total = float(values @ values)
    codes = {name: pd.factorize(runs[name])[0] for name in names}
    columns = _design(names, codes, len(runs))
    is_balanced = names == varying and _is_balanced(names, codes)
    left_out = [name for name in varying if name not in names]
    if total == 0 or not names:
        nothing = dict.fromkeys(names, 0.0)
        return Decomposition(nothing, {}, 0.0, len(runs), total > 0, is_balanced, left_out)
    fit = _Fit(columns, values)
    shares = {term: _share(term, fit, total) for term in columns}
    interactions = {(term[0], term[1]): share for term, share in shares.items() if len(term) == 2}
    return Decomposition(
        main=_largest_first({term[0]: share for term, share in shares.items() if len(term) == 1}),
        interactions=_largest_first(interactions),
        residual=fit.lost(tuple(columns)) / total,
        runs=len(runs),
        varies=True,
        exact=is_balanced and (bool(interactions) or len(names) == 1),
        left_out=left_out,
        ranged=[name for name in ranged(runs) if name in names],
        clipping=clipping,
        residual_sum=fit.lost(tuple(columns)),
        residual_freedom=len(runs) - 1 - fit.rank(tuple(columns)) if interactions else 0,
    )


def _without_outliers(values: _Matrix) -> tuple[_Matrix, Clipping | None]:
    """The values, clipped if one contributes much of the sum of squares, and how they were clipped."""
    squares = (values - values.mean()) ** 2 if len(values) else values
    worst = int(squares.argmax()) if len(values) else 0
    if not squares.any() or squares[worst] <= _MOST_OF_ONE * squares.sum():
        return values, None
    high = limits(values).high
    above = int((values > high).sum())
    if not above or high == values.min():  # without the outlier there would be no variance to explain
        return values, None
    return np.minimum(values, high), Clipping(high, above, values[worst], squares[worst] / squares.sum())


def _largest_first(shares: Mapping[_Key, float]) -> dict[_Key, float]:
    """By the share as it is shown, then by name, so that rounding errors do not decide. Unknown shares come last."""

    def place(item: tuple[_Key, float]) -> tuple[bool, float, _Key]:
        name, share = item
        return isnan(share), 0.0 if isnan(share) else -round(share, _SHOWN_DECIMALS), name

    return dict(sorted(shares.items(), key=place))


def _is_balanced(names: Sequence[str], codes: Mapping[str, NDArray[np.intp]]) -> bool:
    """Whether every combination of the levels has the same number of runs."""
    if not names:
        return True
    counts = pd.DataFrame(dict(codes)).value_counts().to_numpy()
    cells = np.prod([float(codes[name].max() + 1) for name in names])
    return len(counts) == cells and bool((counts == counts[0]).all())


def _design(names: Sequence[str], codes: Mapping[str, NDArray[np.intp]], n: int) -> dict[Term, _Matrix]:
    """The columns of each term, coded so that main effects add up to zero over the levels.

    Interactions are left out if there are too few runs to separate them from the residual.
    """
    columns: dict[Term, _Matrix] = {(name,): _contrasts(codes[name]) for name in names}
    widths = {name: columns[name,].shape[1] for name in names}
    both = sum(widths[a] * widths[b] for a, b in combinations(names, 2))
    if sum(widths.values()) + both >= min(n - 1, _MOST_COLUMNS):
        return columns
    for a, b in combinations(names, 2):
        columns[a, b] = np.einsum("ni,nj->nij", columns[a,], columns[b,]).reshape(n, -1)
    return columns


def _contrasts(levels: NDArray[np.intp]) -> _Matrix:
    """One column per level except the last, whose runs have -1 in all of them."""
    count = int(levels.max()) + 1 if len(levels) else 0
    coding = np.vstack([np.eye(count - 1), -np.ones(count - 1)]) if count > 1 else np.zeros((1, 0))
    return np.asarray(coding[levels], dtype=float)


class _Fit:
    """Least squares on any of the terms, from one factorization of the design."""

    def __init__(self, columns: Mapping[Term, _Matrix], values: _Matrix) -> None:
        design = np.hstack(list(columns.values()))
        means = design.mean(axis=0)
        orthogonal, self._triangle = np.linalg.qr(design - means)  # the mean is fitted by every model
        self._projected = orthogonal.T @ values
        self._beyond = float(values @ values) - float(self._projected @ self._projected)
        ends = np.cumsum([part.shape[1] for part in columns.values()])
        self._places = {
            term: np.arange(end - part.shape[1], end) for (term, part), end in zip(columns.items(), ends, strict=True)
        }
        self._known: dict[frozenset[Term], tuple[float, int]] = {}

    @property
    def terms(self) -> Sequence[Term]:
        return list(self._places)

    def lost(self, terms: Sequence[Term]) -> float:
        """The sum of squared residuals of the model with these terms."""
        return max(0.0, self._beyond) + self._fitted(terms)[0]

    def rank(self, terms: Sequence[Term]) -> int:
        """How many independent columns the model with these terms has."""
        return self._fitted(terms)[1]

    def _fitted(self, terms: Sequence[Term]) -> tuple[float, int]:
        key = frozenset(terms)
        if key not in self._known:
            self._known[key] = self._fit(terms)
        return self._known[key]

    def _fit(self, terms: Sequence[Term]) -> tuple[float, int]:
        if not terms:
            return float(self._projected @ self._projected), 0
        part = self._triangle[:, np.concatenate([self._places[term] for term in terms])]
        found, _, rank, _ = np.linalg.lstsq(part, self._projected, rcond=_RANK_TOLERANCE)
        left = self._projected - part @ found
        return float(left @ left), int(rank)


def _share(term: Term, fit: _Fit, total: float) -> float:
    """NaN for a term that adds no column to the model of the terms that do not contain it."""
    without = [other for other in fit.terms if not set(term) <= set(other)]
    if fit.rank([*without, term]) == fit.rank(without):
        return nan
    return max(0.0, fit.lost(without) - fit.lost([*without, term])) / total
