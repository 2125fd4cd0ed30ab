"""The Pareto front of points with two numbers, both better when lower."""

from collections.abc import Iterable


def pareto_front(points: Iterable[tuple[float, float]]) -> list[int]:
    """Indices of the (cost, loss) points on the Pareto front, by ascending cost; equal points are all kept.

    A point is dominated if another point is not higher in either number and lower in one.
    """
    found = list(points)
    kept: list[int] = []
    for place in sorted(range(len(found)), key=lambda place: found[place]):
        # Earlier points do not cost more, so a point is kept only if its loss is lower than all of theirs.
        if not kept or found[place][1] < found[kept[-1]][1] or found[place] == found[kept[-1]]:
            kept.append(place)
    return kept
