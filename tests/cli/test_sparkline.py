"""Numbers as block characters."""

import math

from hypothesis import given
from hypothesis import strategies as st

from rnnlab.cli.sparkline import BLOCKS, sparkline, steps

FINITE = st.floats(-1e6, 1e6)


def test_lowest_and_highest() -> None:
    assert sparkline([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], 80) == BLOCKS
    assert sparkline([5.0, 1.0], 80) == "█▁"
    assert sparkline([2.0, 2.0, 2.0], 80) == "▁▁▁"


def test_a_long_series_is_thinned_out_by_means() -> None:
    assert sparkline([0.0, 2.0, 7.0, 9.0], 2) == "▁█"
    assert sparkline([9.0, 9.0, 1.0, 3.0, 2.0, 2.0], 3) == "█▁▁"


def test_gaps_and_nothing() -> None:
    assert sparkline([1.0, math.nan, math.inf, 2.0], 80) == "▁  █"
    assert sparkline([math.nan], 80) == " "
    assert sparkline([], 80) == sparkline([1.0], 0) == sparkline([1.0], -5) == ""


@given(st.lists(FINITE, min_size=1, max_size=200), st.integers(1, 100))
def test_width_and_order(values: list[float], width: int) -> None:
    line = sparkline(sorted(values), width)
    assert len(line) == min(width, len(values))
    assert list(line) == sorted(line, key=BLOCKS.index)


def test_steps_keep_a_value_until_the_next() -> None:
    assert steps([(1, 5.0), (3, 4.0)], 4, 100) == [5.0, 5.0, 4.0, 4.0]
    first, second, *_ = steps([(2, 5.0)], 3, 100)
    assert math.isnan(first)
    assert second == 5.0


@given(st.integers(1, 50), st.integers(1, 50), st.data())
def test_steps_thinned_out_end_where_the_series_ends(length: int, most: int, data: st.DataObject) -> None:
    places = data.draw(st.sets(st.integers(1, length), min_size=1))
    changes = [(place, -float(place)) for place in sorted(places)]
    every = steps(changes, length, length)
    thinned = steps(changes, length, most)
    assert len(thinned) == min(length, most)
    assert thinned[-1] == every[-1] == changes[-1][1]
    assert {value for value in thinned if value == value} <= {value for _, value in changes}
