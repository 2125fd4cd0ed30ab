"""Checks that every text of a figure is complete, and that no text covers another."""

from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text


def check_texts(figure: Figure) -> None:
    """Checks that no text covers another or extends beyond the figure."""
    figure.draw_without_rendering()
    drawn = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible() and text.get_text()]
    hidden = set().union(*(labels_out_of_view(ax) for ax in figure.axes))
    inside = [text for text in drawn if text not in hidden]
    boxes = [text.get_window_extent() for text in inside]
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in zip(inside, boxes, strict=True):
        assert box.x0 >= -2 and box.y0 >= -2 and box.x1 <= width + 2 and box.y1 <= height + 2, text.get_text()
    for (a, box_a), (b, box_b) in combinations(zip(inside, boxes, strict=True), 2):
        across = min(box_a.x1, box_b.x1) - max(box_a.x0, box_b.x0)
        along = min(box_a.y1, box_b.y1) - max(box_a.y0, box_b.y0)
        assert across < 1 or along < 1, (a.get_text(), b.get_text())


def labels_out_of_view(ax: Axes) -> set[Text]:
    """Labels of ticks beyond the ends of an axis: they exist, but are not drawn."""
    hidden = set()
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
            if not low <= tick.get_loc() <= high:
                hidden |= {tick.label1, tick.label2}
    return hidden


def plain(text: str) -> str:
    """A wrapped headline or note as it was before wrapping."""
    return text.replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")
