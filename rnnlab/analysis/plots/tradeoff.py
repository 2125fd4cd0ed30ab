"""Loss against cost, one point per configuration, with the Pareto front and the names of its configurations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from rnnlab.analysis.labels import rounded
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.legend import coloring, finish
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.statistics.cost_points import CostPoints, Floats
from rnnlab.analysis.statistics.outliers import Limits, limits
from rnnlab.analysis.words.configuration_names import in_common, names_of

_PLOT_INCHES = 4.2  # without the names below
_LINE_INCHES = 0.15
_LEAST_RATIO = 5  # of the largest to the smallest cost, for a logarithmic axis
_TICKS = ((12, (1, 2, 3, 4, 6, 8)), (300, (1, 2, 5)), (float("inf"), (1,)))  # below this ratio, labels at these places
_MOST_NAMED = 6
_APART_INCHES = 0.2  # between two points with numbers
_TRIANGLE = 4.5  # points across
_COUNT_POINTS = 22  # room of the number of some triangles
_LONGEST_NAME = 230  # letters


@dataclass(frozen=True)
class Cost:
    """The cost of a configuration."""

    label: str  # of the axis
    unit: str  # in a sentence, after a number
    remark: str = ""  # what a reader must know about it; whole sentences


def tradeoff_figure(
    points: CostPoints, metric: str, shares: Mapping[str, float], label: str, cost: Cost, headline: str
) -> Figure:
    """points: at least two. shares: of the metric's variance, by setting, largest first.

    label: of the y axis, with its unit.

    Configurations far above the others are triangles at the upper edge.
    """
    costs, losses, best, job_ids = points.costs, points.losses, points.front, points.table["id"]
    with style.context():
        heights = limits(losses)
        figure = style.new_figure(style.WIDTH, _PLOT_INCHES, headline, "")
        ax = figure.add_subplot()
        _set_costs(ax, costs, cost.label)
        inside = losses <= heights.high
        top = heights.high + (0.1 if inside.all() else 0.17) * heights.span
        ax.set_ylim(heights.low - 0.12 * heights.span, top)
        ax.set_ylabel(label)
        colors = coloring(points.rows, metric, shares)
        shades = np.array(colors.of_run[job_ids].tolist(), dtype=object)
        size = float(np.clip(5000 / len(points), 5, 30))
        dots = ax.scatter(costs[inside], losses[inside], s=size, color=shades[inside].tolist(), linewidth=0, alpha=0.8)
        dots.set(gid="configurations", rasterized=len(points) > style.MOST_SHAPES, zorder=2)
        style.name_runs(dots, job_ids[inside])
        _mark_above(ax, costs[~inside], heights.high + 0.05 * heights.span, job_ids[~inside])
        handles: list[Artist] = [
            Line2D([], [], marker="o", ls="", color=color, ms=4, label=text) for text, color in colors.groups
        ]
        handles += _draw_front(ax, costs[best], losses[best], shades[best].tolist(), job_ids.iloc[best])
        finish(ax, handles, colors.title)
        figure.draw_without_rendering()
        named = _number(ax, costs[best], losses[best])
        settings = points.rows.factors
        rows = Rows(points.table.iloc[[best[place] for place in named]])
        note = _note(losses, heights, cost.remark, len(best), len(named), in_common(rows, settings))
        style.set_note(figure, "\n".join([note, *_named(rows, cost.unit, settings)]))
        figure.set_figheight(_PLOT_INCHES + _LINE_INCHES * figure.get_supxlabel().count("\n"))
        return figure


def _set_costs(ax: Axes, costs: Floats, label: str) -> None:
    low, high = float(costs.min()), float(costs.max())
    if high / low >= _LEAST_RATIO:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=next(subs for ratio, subs in _TICKS if high / low < ratio)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        margin = (high / low) ** 0.04
        ax.set_xlim(low / margin, high * margin)
        label += ", logarithmic"
    else:
        margin = 0.04 * max(high - low, 1e-9)
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.set_xlim(low - margin, high + margin)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:,.10g}"))
    ax.set_xlabel(label)


def _mark_above(ax: Axes, costs: Floats, height: float, job_ids: "pd.Series[int]") -> None:
    """Triangles for configurations above the axis, with their number where they overlap."""
    heights = [height] * len(costs)
    marks = ax.scatter(costs, heights, s=_TRIANGLE**2, marker="^", color=style.INK, linewidth=0, zorder=3, gid="above")
    style.name_runs(marks, job_ids)
    ordered = np.sort(costs)
    dots = ax.transData.transform(np.column_stack([ordered, np.full(len(costs), height)]))[:, 0]
    gaps = np.diff(dots) * style.POINTS_PER_INCH / ax.figure.dpi
    for group in np.split(np.arange(len(costs)), np.flatnonzero(gaps > _COUNT_POINTS) + 1):
        if len(group) > 1 and gaps[group[:-1]].min() < _TRIANGLE:
            ax.annotate(
                f"{len(group)}",
                (ordered[group[len(group) // 2]], height),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=style.TICK_POINTS,
                gid="count",
            )


def _draw_front(
    ax: Axes, costs: Floats, losses: Floats, colors: Sequence[Any], job_ids: "pd.Series[int]"
) -> list[Artist]:
    """A dark ring around each point of the front; the point keeps the color of its setting."""
    right = ax.get_xlim()[1]
    ax.step([*costs, right], [*losses, losses[-1]], where="post", color=style.INK, linewidth=1.1, zorder=4, gid="steps")
    dots = ax.scatter(costs, losses, s=34, color=colors, edgecolor=style.INK, linewidth=1.6, zorder=5, gid="front")
    style.name_runs(dots, job_ids)
    return [
        Line2D(
            *([], []),
            color=style.INK,
            linewidth=1.1,
            marker="o",
            markersize=5,
            markerfacecolor="white",
            markeredgecolor=style.INK,
            markeredgewidth=1.6,
            label="Pareto front: no other is cheaper and better",
        )
    ]


def _number(ax: Axes, costs: Floats, losses: Floats) -> list[int]:
    """Numbers below some points of the front, where there is room because no points are below it."""
    dots = ax.transData.transform(np.column_stack([costs, losses]))
    named = worth_naming(losses, dots, _APART_INCHES * ax.figure.dpi, _MOST_NAMED)
    for n, place in enumerate(named, 1):
        ax.annotate(
            str(n),
            (costs[place], losses[place]),
            xytext=(-4, -5),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=style.TICK_POINTS,
            weight="bold",
            zorder=6,
        )
    return named


def worth_naming(losses: Floats, positions: Floats, distance: float, most: int) -> list[int]:
    """At most this many places of a front, any two at least `distance` apart: the last, the first, large falls.

    losses: along the front, falling. positions: (n, 2), of the points in the picture. Returned in order.
    """
    falls = -np.diff(losses, prepend=losses[:1])
    order = sorted(range(len(losses)), key=lambda place: (place not in (0, len(losses) - 1), -falls[place]))
    chosen: list[int] = []
    for place in [len(losses) - 1, *order]:
        away = [np.hypot(*(positions[place] - positions[other])) for other in chosen]
        if len(chosen) < most and all(one >= distance for one in away):
            chosen.append(place)
    return sorted(chosen)


def _named(rows: Rows, unit: str, settings: Sequence[str]) -> list[str]:
    numbers = zip(rows.frame["loss"], rows.frame["cost"], names_of(rows, settings), strict=True)
    return [
        style.shortened(f"{n}   {loss:.4f} with {rounded(cost)} {unit}: {name}", _LONGEST_NAME)
        for n, (loss, cost, name) in enumerate(numbers, 1)
    ]


def _note(losses: Floats, limits: Limits, remark: str, on_front: int, named: int, shared: str) -> str:
    parts = []
    above = losses[losses > limits.high]
    if len(above):
        parts.append(f"▲ {len(above)} lie above {rounded(limits.high)} (up to {rounded(above.max())}).")
    parts.append("A point is a configuration, the mean over its seeds.")
    parts += [remark] if remark else []
    which = f"{named} of the {on_front}" if named < on_front else f"The {on_front}"
    parts.append(f"{which} on the front" + (f", all with {shared}:" if shared else ":"))
    return " ".join(parts)
