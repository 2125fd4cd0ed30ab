"""Numeric settings with many values, as in a random search, cut into a few ranges that can be compared."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.labels import rounded
from rnnlab.analysis.levels import MOST_LEVELS, are_numbers, levels
from rnnlab.analysis.results_frame import setting_columns

RANGES = 5


@dataclass(frozen=True)
class Range:
    """Neighboring values of a setting that count as one level."""

    low: float  # the lowest value that a job has
    high: float  # the highest value that a job has

    def __str__(self) -> str:
        """As in "learning rate 0.0001 to 0.0003"."""
        return f"{rounded(self.low)} to {rounded(self.high)}"

    def __float__(self) -> float:
        """The number that levels are sorted by."""
        return float(self.low)


def in_ranges(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame; each number of a setting with more than 30 of them is replaced by its range.

    The five ranges of a setting hold equally many of its values. A run without the setting stays without it.
    """
    return frame.assign(**{name: _cut(frame[name]) for name in setting_columns(frame) if _has_many(frame[name])})


def ranged(frame: pd.DataFrame) -> list[str]:
    """The settings of a frame from `in_ranges` that have ranges instead of numbers."""
    return [name for name in setting_columns(frame) if any(isinstance(level, Range) for level in levels(frame[name]))]


def _has_many(column: "pd.Series[Any]") -> bool:
    return column.nunique() > MOST_LEVELS and are_numbers(column.dropna().tolist())


def _cut(column: "pd.Series[Any]") -> "pd.Series[Any]":
    parts = np.array_split(np.array(sorted(set(column.dropna().tolist()))), RANGES)
    of_value = {value: Range(part[0].item(), part[-1].item()) for part in parts for value in part.tolist()}
    return pd.Series([of_value.get(value) for value in column.tolist()], index=column.index, dtype=object)
