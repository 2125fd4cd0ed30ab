"""A series of numbers as one line of text."""

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` block characters, the lowest and the highest block for the lowest and the highest finite value.

    A longer series is thinned out: each character stands for the mean of its share of the values. Where a share has no
    finite value, there is a gap.
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


def steps(changes: Sequence[tuple[int, float]], length: int, most: int) -> list[float]:
    """A series that keeps each value until the next: (place, value), places from 1 to `length` ascending.

    Of a series longer than `most`, so many values evenly spaced, the last among them. NaN before the first change.
    """
    columns = min(length, most)
    series, current, waiting = [], math.nan, list(changes)[::-1]
    for column in range(1, columns + 1):
        place = column * length // columns
        while waiting and waiting[-1][0] <= place:
            current = waiting.pop()[1]
        series.append(current)
    return series


def _mean(values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def _block(share: float) -> str:
    return BLOCKS[min(int(share * len(BLOCKS)), len(BLOCKS) - 1)]
