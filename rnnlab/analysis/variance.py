"""How much of a metric's variance each setting explains, alone and in pairs: eta squared of an analysis of variance.

The model has all main effects and all two-way interactions. The sum of squares of a term is what the fit loses without
it, among the terms that do not contain it (type II; see Langsrud, "ANOVA for unbalanced data: use type II instead of
type III sums of squares", Statistics and Computing 13, 2003). On a balanced complete grid that is the classical
decomposition: the shares do not overlap, and add up to 1 with the residual.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.results import comparable, factors

_MOST_LEVELS = 100  # of one setting
_ALWAYS_LEVELS = 6  # so many are never too many
_MOST_COLUMNS = 400  # of the design matrix, about a second of work
_RANK_TOLERANCE = 1e-9  # relative: directions below are combinations of others

Term = tuple[str, ...]  # one setting, or two
_Matrix = NDArray[np.float64]
_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Decomposition:
    """Shares of the total variance, 0..1. All are zero where every run has the same value."""

    main: Mapping[str, float]  # by setting, largest first
    interactions: Mapping[tuple[str, str], float]  # by pair of settings in payload order, largest first
    residual: float  # what main effects and two-way interactions leave
    runs: int  # over how many
    varies: bool  # whether the runs differ at all
    exact: bool  # a balanced complete grid: the shares add up to 1 with the residual

    @property
    def method(self) -> str:
        """One sentence."""
        if not self.interactions:
            what = "main effects only, fitted together; there are too few runs or too many levels for interactions"
            return (
                f"eta squared over {self.runs} runs: {what}" if len(self.main) > 1 else f"eta squared, {self.runs} runs"
            )
        if self.exact:
            return f"eta squared over a balanced grid of {self.runs} runs: exact, the shares add up to 1"
        return (
            f"eta squared over {self.runs} runs of an incomplete or unbalanced grid: type II sums of squares by least "
            "squares, whose shares need not add up to 1"
        )


def decompose(frame: pd.DataFrame, by: str = "min_loss") -> Decomposition:
    """The shares of the settings that vary among the runs that can be compared; runs of several seeds count each.

    A setting with more than 100 levels, or (beyond six) a level for every second run, is left out: it would explain
    anything.
    Raises UsageError for a metric that no result has.
    """
    runs = comparable(frame, by)
    varying = factors(runs)
    most = min(_MOST_LEVELS, max(_ALWAYS_LEVELS, len(runs) // 2))
    names = [name for name in varying if runs[name].nunique(dropna=False) <= most]
    values = runs[by].to_numpy(dtype=float)
    values = values - values.mean() if len(values) else values
    total = float(values @ values)
    codes = {name: pd.factorize(runs[name])[0] for name in names}
    columns = _design(names, codes, len(runs))
    is_balanced = names == varying and _is_balanced(names, codes)
    if total == 0 or not names:
        return Decomposition(dict.fromkeys(names, 0.0), {}, 0.0, len(runs), total > 0, is_balanced)
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
    )


def _largest_first(shares: Mapping[_Key, float]) -> dict[_Key, float]:
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _is_balanced(names: Sequence[str], codes: Mapping[str, NDArray[np.intp]]) -> bool:
    """Whether every combination of the levels has the same number of runs."""
    if not names:
        return True
    counts = pd.DataFrame(dict(codes)).value_counts().to_numpy()
    cells = np.prod([float(codes[name].max() + 1) for name in names])
    return len(counts) == cells and bool((counts == counts[0]).all())


def _design(names: Sequence[str], codes: Mapping[str, NDArray[np.intp]], n: int) -> dict[Term, _Matrix]:
    """The columns of each term, coded so that main effects add up to zero over the levels.

    Interactions are left out where the runs could not tell them from the residual.
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
    """One column a level but the last, whose runs have -1 in all of them."""
    count = int(levels.max()) + 1 if len(levels) else 0
    coding = np.vstack([np.eye(count - 1), -np.ones(count - 1)]) if count > 1 else np.zeros((1, 0))
    return np.asarray(coding[levels], dtype=float)


class _Fit:
    """Least squares on any of the terms, from one factorisation of the design."""

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
        self._known: dict[frozenset[Term], float] = {}

    @property
    def terms(self) -> Sequence[Term]:
        return list(self._places)

    def lost(self, terms: Sequence[Term]) -> float:
        """The sum of squared residuals of the model with these terms."""
        key = frozenset(terms)
        if key not in self._known:
            self._known[key] = max(0.0, self._beyond) + self._residual(terms)
        return self._known[key]

    def _residual(self, terms: Sequence[Term]) -> float:
        if not terms:
            return float(self._projected @ self._projected)
        part = self._triangle[:, np.concatenate([self._places[term] for term in terms])]
        found = np.linalg.lstsq(part, self._projected, rcond=_RANK_TOLERANCE)[0]
        left = self._projected - part @ found
        return float(left @ left)


def _share(term: Term, fit: _Fit, total: float) -> float:
    without = [other for other in fit.terms if not set(term) <= set(other)]
    return max(0.0, fit.lost(without) - fit.lost([*without, term])) / total
