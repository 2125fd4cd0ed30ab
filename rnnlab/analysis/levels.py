"""The values of a setting: their order, and the rows that have them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

MOST_LEVELS = 30  # of a numeric setting; with more distinct numbers it is continuous


def levels(column: "pd.Series[Any]") -> list[Any]:
    """The distinct values of a setting: None first, then off before on, numbers ascending, texts alphabetically."""

    def order(value: Any) -> tuple[int, float, str]:
        if value is None:
            return (0, 0.0, "")
        return (2, 0.0, value) if isinstance(value, str) else (1, float(value), "")

    return sorted({None if pd.isna(value) else value for value in set(column.tolist())}, key=order)


def at_level(column: "pd.Series[Any]", level: Any) -> "pd.Series[bool]":
    """Where a setting has this value; None matches a setting that a job does not have."""
    return column.isna() if level is None else column == level


def are_numbers(values: Sequence[Any]) -> bool:
    """Whether all values are numbers; a switch (off, on) is not a number."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def is_continuous(found: Sequence[Any]) -> bool:
    """Whether the levels of a setting are numbers, and too many to be compared one by one."""
    return len(found) > MOST_LEVELS and are_numbers(found)
