"""Places the points of a swarm: sideways from the middle of their level, so that no point hides another.

Lengths are in one unit throughout, for example points of 1/72 inch. Equal heights give equal places.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BINS = 64


def place_swarms(
    groups: Sequence[Floats], half_width: float | Sequence[float], sizes: Sequence[float]
) -> tuple[list[Floats], float, bool]:
    """Offsets for several swarms whose points are all of one size: the first of `sizes` at which every swarm fits.

    groups: the heights of each swarm's points. half_width: room on either side of the middle, one for all or one each.
    sizes: diameters to try, largest first. Returns the offsets, the diameter, and whether all points are separate: if
    no size fits, the last size is used and the points are spread by density, so that some overlap. In either case no
    point extends beyond its half width.
    """
    widths = np.broadcast_to(np.asarray(half_width, dtype=float), len(groups))
    for size in sizes:
        placed = []
        for heights, width in zip(groups, widths, strict=True):
            offsets = swarm_offsets(heights, size, width)
            if offsets is None:
                break
            placed.append(offsets)
        else:
            return placed, size, True
    spread = [density_offsets(heights, sizes[-1], width) for heights, width in zip(groups, widths, strict=True)]
    return spread, sizes[-1], False


def swarm_offsets(heights: Floats, diameter: float, half_width: float) -> Floats | None:
    """Sideways offsets of circles at the given heights so that none overlap, or None if they do not fit.

    Greedy from the lowest up: each circle takes the free place nearest to the middle.
    """
    if _certainly_too_many(heights, diameter, half_width):
        return None
    order = np.argsort(heights, kind="stable")
    sorted_heights = heights[order]
    placed = np.zeros(len(heights))
    first = np.searchsorted(sorted_heights, sorted_heights - diameter, side="right")
    for i, height in enumerate(sorted_heights):
        neighbors = placed[first[i] : i]
        reach = np.sqrt(np.maximum(diameter**2 - (height - sorted_heights[first[i] : i]) ** 2, 0.0))
        right, left = neighbors + reach, neighbors - reach
        # Even circles prefer the right, odd ones the left: otherwise ties would make every swarm lean to one side.
        places = np.concatenate([[0.0], right, left] if i % 2 == 0 else [[0.0], left, right])
        free = (np.abs(places[:, None] - neighbors) >= reach * (1 - 1e-9)).all(axis=1)
        distance = np.where(free, np.abs(places), np.inf)
        placed[i] = places[distance.argmin()]
        if abs(placed[i]) + diameter / 2 > half_width:
            return None
    offsets = np.empty_like(placed)
    offsets[order] = placed
    return offsets


def density_offsets(heights: Floats, diameter: float, half_width: float) -> Floats:
    """Sideways offsets that fill a shape as wide as the local density of heights; points may overlap.

    The places within the shape are pseudo-random, and equal for equal numbers of heights: a regular sequence would
    show stripes that are not in the data.
    """
    room = max(half_width - diameter / 2, 0.0)
    if not len(heights) or room == 0.0:
        return np.zeros(len(heights))
    counts, edges = np.histogram(heights, bins=_BINS)
    smooth = np.convolve(counts, [0.25, 0.5, 0.25], mode="same")
    density = np.interp(heights, (edges[:-1] + edges[1:]) / 2, smooth)
    side = np.random.default_rng(len(heights)).uniform(-1.0, 1.0, len(heights))
    offsets: Floats = side * room * density / density.max()
    return offsets


def _certainly_too_many(heights: Floats, diameter: float, half_width: float) -> bool:
    # A window one diameter high holds at most two full rows of circles; counting first avoids most failing attempts.
    if 2 * half_width < diameter:
        return len(heights) > 0
    ordered = np.sort(heights)
    in_window = np.searchsorted(ordered, ordered + diameter, side="left") - np.arange(len(ordered))
    per_row = (2 * half_width - diameter) / diameter + 1
    return bool(len(heights) and in_window.max() > 2 * per_row + 1)
