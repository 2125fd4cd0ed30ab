"""The color of each run, and the legend that explains it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnlab.analysis.plots import style
from rnnlab.analysis.runs import Rows, Runs
from rnnlab.analysis.words.names import metric_title, setting_at, title

_MOST_COLORS = 6
_LONGEST_LINE = 100  # letters
_COLUMNS = 3  # of a legend
_LEGEND_INCHES = 0.2  # of a legend above several panels
_LEAST_SHARE = 0.05  # of the variance: a setting that explains less gets no colors


@dataclass(frozen=True)
class Coloring:
    """The color of every run, and the meaning of the colors."""

    title: str  # of the legend
    of_run: "pd.Series[Any]"  # job id -> color
    groups: Sequence[tuple[str, Any]]  # label, color


def coloring(rows: Rows, metric: str, shares: Mapping[str, float]) -> Coloring:
    """Color by the setting that explains most of the metric's variance; one color if no setting explains enough.

    shares: of the variance, by setting, largest first.
    """
    fit = [name for name in shares if len(rows.levels(name)) <= _MOST_COLORS and shares[name] >= _LEAST_SHARE]
    of_run = pd.Series([style.colors(1)[0]] * len(rows), index=rows.frame["id"].tolist(), dtype=object)
    if not fit:
        return Coloring("", of_run, [(f"a run (n {len(rows)})", style.colors(1)[0])])
    name = fit[0]
    groups = []
    for value, color in zip(rows.levels(name), style.colors(len(rows.levels(name))), strict=True):
        here = rows.at(name, value).to_numpy()
        of_run[here] = [color] * int(here.sum())
        groups.append((f"{setting_at(name, value)} (n {int(here.sum())})", color))
    return Coloring(
        f"Color: {title(name)}, which explains {shares[name]:.0%} of the variance of the {metric_title(metric)}",
        of_run,
        groups,
    )


def draw_threshold(ax: Axes, runs: Runs, threshold: float | None) -> list[Artist]:
    """A dashed line at the threshold, if the axis contains it; returns its entry in the legend, if any."""
    bottom, top = ax.get_ylim()
    if threshold is None or not bottom <= threshold <= top:
        return []
    text = f"threshold {threshold:g}: {int((runs.losses < threshold).sum())} of {len(runs.losses)} below"
    line = Line2D([], [], color=style.INK, linewidth=1.0, linestyle=(0, (4, 3)), label=text)
    ax.axhline(threshold, color=style.INK, linewidth=1.0, linestyle=(0, (4, 3)), zorder=6)
    return [line]


def write_in(ax: Axes, text: str) -> None:
    """A line of text in the lower left corner, above everything drawn there; cut to the width of the plot."""
    backdrop = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    ax.text(
        *(0.015, 0.025),
        style.shortened(text, _LONGEST_LINE),
        transform=ax.transAxes,
        fontsize=style.NOTE_POINTS,
        va="bottom",
        zorder=9,
        bbox=backdrop,
    )


def legend_row(figure: Figure, handles: Sequence[Artist], columns: int) -> list[Axes]:
    """A legend in one line between the headline and a row of panels, which share their y axis."""
    heights = [_LEGEND_INCHES, figure.get_figheight() - _LEGEND_INCHES]
    grid = figure.add_gridspec(2, 1, height_ratios=heights)
    above = figure.add_subplot(grid[0])
    above.set_axis_off()
    above.legend(
        handles=list(handles), ncols=len(handles), loc="center left", frameon=False, borderpad=0, borderaxespad=0
    )
    # A separate grid, so that the legend can start to the left of the panels.
    below = grid[1].subgridspec(1, columns)
    panels: list[Axes] = []
    for column in range(columns):
        panels.append(figure.add_subplot(below[column], sharey=panels[0] if panels else None))
        panels[-1].tick_params(labelleft=column == 0)
    return panels


def finish(ax: Axes, handles: Sequence[Artist], heading: str) -> None:
    """Place the legend above the plot, where it hides nothing, and style the frame."""
    # matplotlib fills a legend column by column; readers read row by row.
    by_column = [handle for column in range(_COLUMNS) for handle in handles[column::_COLUMNS]]
    ax.legend(
        handles=by_column,
        title=heading or None,
        ncols=_COLUMNS,
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
