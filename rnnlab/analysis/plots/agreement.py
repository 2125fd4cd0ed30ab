"""Two experiments: the loss of each configuration in one against its loss in the other."""

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from rnnlab.analysis.labels import rounded
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.legend import coloring, finish
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.statistics.comparison import Comparison
from rnnlab.analysis.statistics.one_factor import Floats
from rnnlab.analysis.statistics.outliers import limits

_PLOT_INCHES = 5.2


def agreement_figure(
    comparison: Comparison, shares: Mapping[str, float], names: tuple[str, str], label: str, headline: str
) -> Figure:
    """shares: of the metric's variance, by setting, largest first. names: of the two experiments.

    label: of the metric, with its unit. Configurations far above the others are triangles at an edge.
    """
    here, there = comparison.losses
    points = Rows(comparison.configurations.assign(id=range(len(here))))
    up, across = limits(here), limits(there)
    inside = (here <= up.high) & (there <= across.high)
    with style.context():
        figure = style.new_figure(style.WIDTH, _PLOT_INCHES, headline, _note(here, there, inside))
        ax = figure.add_subplot()
        colors = coloring(points, comparison.metric, shares)
        shades = np.array(colors.of_run.tolist(), dtype=object)
        size = float(np.clip(5000 / len(here), 6, 30))
        dots = ax.scatter(there[inside], here[inside], s=size, color=shades[inside].tolist(), linewidth=0, alpha=0.8)
        dots.set(gid="configurations", rasterized=len(here) > style.MOST_SHAPES, zorder=2)
        right = there[~inside].clip(max=across.high + 0.04 * across.span)
        top = here[~inside].clip(max=up.high + 0.04 * up.span)
        ax.scatter(right, top, s=20, marker="^", color=style.INK, linewidth=0, zorder=3, gid="beyond")
        ax.set_xlim(across.low - 0.05 * across.span, across.high + 0.08 * across.span)
        ax.set_ylim(up.low - 0.05 * up.span, up.high + 0.08 * up.span)
        ax.set_xlabel(f"{names[1]}: {label}")
        ax.set_ylabel(f"{names[0]}: {label}")
        handles: list[Artist] = [
            Line2D([], [], marker="o", ls="", color=color, ms=4, label=text) for text, color in colors.groups
        ]
        finish(ax, [*handles, *_draw_equal(ax)], colors.title)
        ax.grid(axis="x", color="0.92")
        return figure


def _draw_equal(ax: Axes) -> list[Artist]:
    """The line of equal losses, if it crosses the plot; returns its entry in the legend."""
    ends = list(zip(ax.get_xlim(), ax.get_ylim(), strict=True))
    low, high = max(ends[0]), min(ends[1])
    if low >= high:
        return []
    ax.plot([low, high], [low, high], color=style.FAINT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1, gid="equal")
    return [Line2D([], [], color=style.FAINT, linewidth=0.9, linestyle=(0, (4, 3)), label="equal in both")]


def _note(here: Floats, there: Floats, inside: NDArray[np.bool_]) -> str:
    text = "A point is a configuration that ran in both, the mean over its seeds."
    if inside.all():
        return text
    beyond = f"▲ {int((~inside).sum())} lie beyond an edge (up to {rounded(here.max())} and {rounded(there.max())})."
    return f"{beyond} {text}"
