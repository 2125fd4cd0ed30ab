"""Numeric settings with many values, as a random search has them, cut into a few ranges that can be compared."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.runs import levels, setting_columns
from rnnlab.analysis.words.names import rounded

MOST_LEVELS = 30  # of a numeric setting that is taken as it is
RANGES = 5


@dataclass(frozen=True)
class Range:
    """Some neighbouring values of a setting: one of its levels."""

    low: float  # the lowest value that a job has, and the highest
    high: float

    def __str__(self) -> str:
        """As in "learning rate 0.0001 to 0.0003"."""
        return f"{rounded(self.low)} to {rounded(self.high)}"

    def __float__(self) -> float:
        """What levels are ordered by."""
        return float(self.low)


def in_ranges(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with every number of a setting that has more than 30 of them replaced by its range.

    The five ranges of a setting have equally many of its values; a run that does not have the setting still has none.
    """
    return frame.assign(**{name: _cut(frame[name]) for name in setting_columns(frame) if _has_many(frame[name])})


def ranged(frame: pd.DataFrame) -> list[str]:
    """The settings of a frame of `in_ranges` that have ranges instead of numbers."""
    return [name for name in setting_columns(frame) if any(isinstance(level, Range) for level in levels(frame[name]))]


def _has_many(column: "pd.Series[Any]") -> bool:
    if column.nunique() <= MOST_LEVELS:
        return False
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in column.dropna().tolist())


def _cut(column: "pd.Series[Any]") -> "pd.Series[Any]":
    parts = np.array_split(np.array(sorted(set(column.dropna().tolist()))), RANGES)
    of_value = {value: Range(part[0].item(), part[-1].item()) for part in parts for value in part.tolist()}
    return pd.Series([of_value.get(value) for value in column.tolist()], index=column.index, dtype=object)
