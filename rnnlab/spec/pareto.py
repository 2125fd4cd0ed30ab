"""What nothing else beats in two numbers at once, both better when lower."""

from collections.abc import Iterable


def pareto_front(points: Iterable[tuple[float, float]]) -> list[int]:
    """The places of the Pareto front of (cost, loss) points, cheapest first; points equal in both stay together.

    A point goes if another is at most as high in both and lower in one.
    """
    found = list(points)
    kept: list[int] = []
    for place in sorted(range(len(found)), key=lambda place: found[place]):
        # Whoever stands before it costs no more: only a lower loss than all of these keeps a point.
        if not kept or found[place][1] < found[kept[-1]][1] or found[place] == found[kept[-1]]:
            kept.append(place)
    return kept
