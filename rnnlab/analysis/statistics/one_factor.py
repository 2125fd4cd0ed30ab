"""The tables in which only one factor varies: a row for each combination of the others, a column for each level.

Runs that differ only in their seed are averaged first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.levels import levels
from rnnlab.analysis.runs import Runs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OneFactor:
    """One factor against everything else."""

    factor: str
    levels: Sequence[Any]  # as `levels` orders them: off before on, numbers ascending
    others: pd.DataFrame  # the settings of all other factors, one row each
    losses: Floats  # (rows, levels): the metric, mean over seeds; inf: diverged; NaN: not run

    @property
    def complete(self) -> Floats:
        """The rows with a finite value at every level."""
        return self.losses[np.isfinite(self.losses).all(axis=1)]

    @property
    def best_counts(self) -> Mapping[Any, int]:
        """In how many of the complete rows each level alone has the lowest value."""
        lowest = self.complete == self.complete.min(axis=1, keepdims=True)
        alone = lowest[lowest.sum(axis=1) == 1].sum(axis=0)
        return {level: int(count) for level, count in zip(self.levels, alone, strict=True)}

    @property
    def falling(self) -> int:
        """In how many of the complete rows the value falls from each level to the next."""
        return int((np.diff(self.complete, axis=1) < 0).all(axis=1).sum())

    @property
    def rising(self) -> int:
        """In how many of the complete rows the value rises from each level to the next."""
        return int((np.diff(self.complete, axis=1) > 0).all(axis=1).sum())

    def table(self) -> pd.DataFrame:
        """The rows with at least two levels: settings, then a column for each level; ordered by the settings."""
        columns = pd.DataFrame(self.losses, columns=pd.Index([str(level) for level in self.levels]))
        several = (~np.isnan(self.losses)).sum(axis=1) > 1
        whole: pd.DataFrame = pd.concat([self.others.reset_index(drop=True), columns], axis=1)
        rows: pd.DataFrame = whole.loc[several]
        return rows.reset_index(drop=True)


def one_factor_tables(runs: Runs) -> dict[str, OneFactor]:
    """The table of each setting that varies among the finished runs, in payload order.

    A run without a finite metric counts as diverged, and so does a configuration with such a run. The levels of a
    setting with more than 30 numbers are ranges of them, whose configurations are averaged.
    """
    ranged = runs.in_ranges
    rows, good = ranged.finished.frame, ranged.comparable.frame.index
    losses = rows[runs.metric].where(rows.index.isin(good), np.inf)
    configs = rows.assign(_loss=losses).groupby("recipe", sort=False)
    means = configs["_loss"].mean().to_numpy(dtype=float)
    settings = configs[ranged.all.settings].first().reset_index(drop=True)
    names = ranged.finished.factors
    places = {name: _places(settings[name]) for name in names}
    return {name: _table(name, names, settings, places, means) for name in names}


def _places(column: "pd.Series[Any]") -> NDArray[np.intp]:
    """The position of each value among the levels."""
    order = {level: place for place, level in enumerate(levels(column))}
    return np.array([order[None if pd.isna(value) else value] for value in column.tolist()], dtype=np.intp)


def _table(
    name: str, names: Sequence[str], settings: pd.DataFrame, places: Mapping[str, NDArray[np.intp]], means: Floats
) -> OneFactor:
    rest = [other for other in names if other != name]
    contexts = np.column_stack([*(places[other] for other in rest), np.zeros(len(settings), dtype=np.intp)])
    _, first, row = np.unique(contexts, axis=0, return_index=True, return_inverse=True)
    found = levels(settings[name])
    sums, counts = np.zeros((2, len(first), len(found)))
    np.add.at(sums, (row, places[name]), means)
    np.add.at(counts, (row, places[name]), 1)
    with np.errstate(invalid="ignore"):
        losses = np.where(counts > 0, sums / counts, np.nan)
    return OneFactor(name, found, settings.loc[first, rest], losses)
