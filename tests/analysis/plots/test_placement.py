"""Swarms as geometry: no point hides another, none leaves its room."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnlab.analysis.plots.placement import Floats, density_offsets, place_swarms, swarm_offsets

HEIGHTS = st.lists(st.floats(0, 60, allow_subnormal=False), max_size=60).map(lambda xs: np.array(xs, dtype=float))
ROOM = st.floats(1, 40)


def closest(heights: Floats, offsets: Floats) -> float:
    """The distance of the two nearest points."""
    points = np.column_stack([offsets, heights])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    return float(distances[np.triu_indices(len(points), 1)].min(initial=np.inf))


@given(HEIGHTS, ROOM, st.floats(0.5, 8))
@settings(deadline=None)
def test_a_swarm_neither_overlaps_nor_leaves_its_room(heights: Floats, room: float, diameter: float) -> None:
    offsets = swarm_offsets(heights, diameter, room)
    if offsets is None:
        assert len(heights) > 0
        return
    assert closest(heights, offsets) >= diameter * (1 - 1e-6)
    assert (np.abs(offsets) + diameter / 2 <= room + 1e-9).all()


@given(HEIGHTS, ROOM)
@settings(deadline=None)
def test_points_spread_by_density_stay_in_their_room(heights: Floats, room: float) -> None:
    offsets = density_offsets(heights, 1.0, room)
    assert (np.abs(offsets) + 0.5 <= room + 1e-9).all()


@given(st.lists(HEIGHTS, min_size=1, max_size=4), ROOM)
@settings(deadline=None)
def test_swarms_share_one_size_and_stay_in_their_rooms(groups: list[Floats], room: float) -> None:
    placed, size, apart = place_swarms(groups, [room] * len(groups), [6.0, 3.0, 1.0])
    for heights, offsets in zip(groups, placed, strict=True):
        assert (np.abs(offsets) + size / 2 <= room + 1e-9).all()
        assert not apart or closest(heights, offsets) >= size * (1 - 1e-6)


def test_few_points_far_apart_stand_in_the_middle() -> None:
    assert swarm_offsets(np.array([0.0, 20.0, 10.0]), 6.0, 10.0) == pytest.approx([0.0, 0.0, 0.0])


def test_equal_heights_make_a_row_balanced_about_the_middle() -> None:
    offsets = swarm_offsets(np.zeros(5), 2.0, 10.0)
    assert offsets is not None
    assert sorted(offsets) == pytest.approx([-4.0, -2.0, 0.0, 2.0, 4.0])


def test_the_size_is_the_largest_that_fits_the_fullest_group() -> None:
    placed, size, apart = place_swarms([np.zeros(1), np.zeros(9)], [10.0, 10.0], [4.0, 2.0, 1.0])
    assert (size, apart) == (2.0, True)  # nine circles of 2 are 18 wide, the room is 20
    assert [len(offsets) for offsets in placed] == [1, 9]


def test_what_does_not_fit_is_spread_and_said_to_overlap() -> None:
    heights = np.linspace(0, 10, 5000)
    placed, size, apart = place_swarms([heights], [10.0], [6.0, 1.0])
    assert (size, apart) == (1.0, False)
    assert np.ptp(placed[0]) > 15  # the room is used
    again, _, _ = place_swarms([heights], [10.0], [6.0, 1.0])
    assert (placed[0] == again[0]).all()
