"""Which colour a run has, and what the legend says about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecBase
from matplotlib.lines import Line2D

from rnnlab.analysis.names import setting_at, title
from rnnlab.analysis.plots import style
from rnnlab.analysis.results import at_level, comparable, levels
from rnnlab.analysis.variance import decompose

_MOST_COLOURS = 6
_LEGEND_INCHES = 0.2  # of a row of a legend above several panels
_LEAST_SHARE = 0.05  # of the variance: a setting that explains less is not worth its colours


@dataclass(frozen=True)
class Colouring:
    """The colour of every run, and what the colours mean."""

    title: str  # of the legend
    of_run: "pd.Series[Any]"  # job id -> colour
    groups: Sequence[tuple[str, Any]]  # label, colour


def colouring(frame: pd.DataFrame, metric: str) -> Colouring:
    """Colour by the setting that explains most of the metric's variance, in one colour where none explains anything."""
    shares = decompose(frame, metric).main
    fit = [name for name in shares if len(levels(frame[name])) <= _MOST_COLOURS and shares[name] >= _LEAST_SHARE]
    of_run = pd.Series([style.colours(1)[0]] * len(frame), index=frame["id"].tolist(), dtype=object)
    if not fit:
        return Colouring("", of_run, [(f"a run (n {len(frame)})", style.colours(1)[0])])
    name = fit[0]
    groups = []
    for value, colour in zip(levels(frame[name]), style.colours(len(levels(frame[name]))), strict=True):
        here = at_level(frame[name], value).to_numpy()
        of_run[here] = [colour] * int(here.sum())
        groups.append((f"{setting_at(name, value)} (n {int(here.sum())})", colour))
    return Colouring(
        f"Colour: {title(name)}, which explains {shares[name]:.0%} of the variance of {metric}", of_run, groups
    )


def draw_threshold(ax: Axes, frame: pd.DataFrame, metric: str, threshold: float | None) -> list[Artist]:
    """A dashed line at the threshold, where the axis reaches it; returns its entry in the legend, if any."""
    bottom, top = ax.get_ylim()
    if threshold is None or not bottom <= threshold <= top:
        return []
    values = comparable(frame, metric)[metric]
    text = f"threshold {threshold:g}: {int((values < threshold).sum())} of {len(values)} below"
    line = Line2D([], [], color=style.INK, linewidth=1.0, linestyle=(0, (4, 3)), label=text)
    ax.axhline(threshold, color=style.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=6)
    return [line]


def write_in(ax: Axes, text: str) -> None:
    """A line of text in the lower left corner, above everything drawn there."""
    backdrop = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    ax.text(
        *(0.015, 0.025), text, transform=ax.transAxes, fontsize=style.NOTE_POINTS, va="bottom", zorder=9, bbox=backdrop
    )


def legend_row(figure: Figure, handles: Sequence[Artist], columns: int, rows: int = 1) -> GridSpecBase:
    """A legend between the headline and the panels; returns the grid of one row and so many columns for the panels."""
    height = rows * _LEGEND_INCHES
    grid = figure.add_gridspec(2, 1, height_ratios=[height, figure.get_figheight() - height])
    above = figure.add_subplot(grid[0])
    above.set_axis_off()
    above.legend(
        handles=list(handles), ncols=-(-len(handles) // rows), loc="center left", frameon=False, borderpad=0, borderaxespad=0
    )
    return grid[1].subgridspec(1, columns)


def finish(ax: Axes, handles: Sequence[Artist], heading: str) -> None:
    """The legend above the plot, where it hides nothing, and the frame around the plot."""
    ax.legend(
        handles=list(handles),
        title=heading or None,
        ncols=3,
        alignment="left",
        frameon=False,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        borderpad=0.0,
        borderaxespad=0.4,
    )
    ax.grid(axis="y", color="0.92")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
