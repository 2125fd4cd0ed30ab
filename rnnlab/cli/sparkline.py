"""Draws a series of numbers as one line of text."""

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` block characters; the lowest and highest finite values give the lowest and highest blocks.

    A longer series is divided into `width` parts, and each character shows the mean of one part. A part without finite
    values is shown as a space.
    """
    columns = min(width, len(values))
    if columns <= 0:
        return ""
    edges = [column * len(values) // columns for column in range(columns + 1)]
    means = [_mean(values[start:end]) for start, end in pairwise(edges)]
    finite = [value for value in means if value is not None]
    if not finite:
        return " " * columns
    low, span = min(finite), max(finite) - min(finite)
    return "".join(" " if value is None else _block((value - low) / span if span > 0 else 0.0) for value in means)


def steps(changes: Sequence[tuple[int, float]], length: int, max_values: int) -> list[float]:
    """A step function: each (position, value) holds until the next one. Positions ascend from 1 to `length`.

    Of a series longer than `max_values`, only that number of evenly spaced values, including the last. NaN before the
    first change.
    """
    columns = min(length, max_values)
    series, current, remaining = [], math.nan, list(changes)[::-1]
    for column in range(1, columns + 1):
        position = column * length // columns
        while remaining and remaining[-1][0] <= position:
            current = remaining.pop()[1]
        series.append(current)
    return series


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _block(share: float) -> str:
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
