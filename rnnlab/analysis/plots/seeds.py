"""The seeds of each configuration, best mean first, and which configurations may be the best."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from rnnlab.analysis.labels import rounded
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.legend import legend_row
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.statistics.outliers import Limits, limits
from rnnlab.analysis.statistics.replicates import Replicates
from rnnlab.analysis.words.configuration_names import in_common, names_of

MOST_ROWS = 20
_LINE_INCHES = 0.14
_LETTERS = 44  # of a line of a configuration's name
_LINES = 3
_BELOW = 0.26  # rows between a mean and its seeds
_KINDS = ("member", "other", "unknown")

Floats = NDArray[np.float64]


def seeds_figure(found: Replicates, settings: Sequence[str], label: str, headline: str, rule: str) -> Figure:
    """found: the configurations to draw, best first. settings: those that vary, the one that explains most first.
    label: of the axis. rule: when a configuration may be the best.

    Seeds far above the others are counted at the edge; intervals that reach far beyond the others end in an arrow.
    """
    metric, shown = found.runs.metric, found.table.head(MOST_ROWS)
    rows = Rows(shown)
    seeds = [found.seeds_of(recipe) for recipe in shown["recipe"]]
    with style.context():
        values = np.concatenate([of_one[metric].to_numpy(dtype=float) for of_one in seeds])
        ends = _limits(values, shown)
        note = _note(len(found), shown, rule, in_common(rows, settings), values, ends)
        labels = [_label(*row) for row in zip(names_of(rows, settings), shown["n"], strict=True)]
        lines = max(2, max(label.count("\n") + 1 for label in labels))
        height = 1.9 + (_LINE_INCHES * lines + 0.06) * len(shown)
        figure = style.new_figure(style.WIDTH, height, headline, note)
        kinds = [_kind(row) for row in shown.to_dict("records")]
        colors = [_color(kind) for kind in kinds]
        ax = legend_row(figure, _handles(kinds), 1)[0]
        for place, (of_one, color) in enumerate(zip(seeds, colors, strict=True)):
            inside = of_one[of_one[metric] <= ends.high]
            heights = [place + _BELOW] * len(inside)
            points = ax.scatter(inside[metric], heights, s=16, color=[color], alpha=0.55, linewidth=0, zorder=2)
            points.set(gid="seeds")
            style.name_runs(points, inside["id"])
            if len(inside) < len(of_one):
                _count(ax, place, len(of_one) - len(inside), color)
        _draw_means(ax, shown, colors, ends)
        ax.set_yticks(range(len(shown)), labels)
        ax.set_ylim(len(shown) - 0.4, -0.6)
        ax.set_xlim(ends.low - 0.04 * ends.span, ends.high + 0.06 * ends.span)
        ax.set_xlabel(label)
        ax.axvline(shown["mean"].iloc[0], color=style.FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        ax.grid(axis="x", color="0.92")
        ax.set_axisbelow(True)
        ax.tick_params(axis="y", length=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        return figure


def _limits(seeds: Floats, shown: pd.DataFrame) -> Limits:
    """All seeds and intervals except those that would squeeze the others; low seeds are never left out."""
    highest = limits(np.concatenate([seeds, shown["high"]])).high
    lowest = -limits(-np.concatenate([seeds, shown["low"]])).high
    return Limits(min(lowest, float(seeds.min())), highest)


def _kind(row: "dict[Any, Any]") -> str:
    if pd.isna(row["in_set"]):
        return "unknown"
    return "member" if row["in_set"] else "other"


def _color(kind: str) -> Any:
    return {"member": style.best_color(), "other": style.colors(1)[0], "unknown": "0.6"}[kind]


def _draw_means(ax: Axes, shown: pd.DataFrame, colors: Sequence[Any], limits: Limits) -> None:
    places = range(len(shown))
    bars = [[(low, y), (high, y)] for low, high, y in zip(shown["low"], shown["high"], places, strict=True)]
    ax.add_collection(LineCollection(bars, colors=colors, linewidths=2.0, zorder=3, gid="interval"))
    ax.scatter(
        shown["mean"], places, s=46, marker="D", color=colors, edgecolor=style.INK, linewidth=0.8, zorder=4, gid="mean"
    )
    for name, marker, edge, these in (
        ("left", "<", limits.low, shown["low"] < limits.low),
        ("right", ">", limits.high, shown["high"] > limits.high),
    ):
        shades = [color for color, one in zip(colors, these, strict=True) if one]
        ax.scatter([edge] * len(shades), np.flatnonzero(these), s=30, marker=marker, color=shades, zorder=3, gid=name)


def _count(ax: Axes, place: int, missing: int, color: Any) -> None:
    ax.text(
        *(0.995, place + _BELOW, f"▸ {missing}"),
        transform=ax.get_yaxis_transform(),
        ha="right",
        va="center",
        fontsize=style.TICK_POINTS,
        color=color,
        weight="bold",
    )


def _label(name: str, seeds: int) -> str:
    """A configuration in words, in at most three lines, and its number of seeds."""
    lines = style.lines_of_text(name or "the only configuration", _LETTERS, _LINES)
    return "\n".join(lines) + f"  (n {seeds})"


def _handles(kinds: Sequence[str]) -> list[Artist]:
    said = {
        "member": "may be the best",
        "other": "not the best",
        "unknown": "unknown: too few seeds, or a seed diverged",
    }
    marks: list[Artist] = [
        Line2D([], [], marker="D", ls="", ms=6, color=_color(kind), markeredgecolor=style.INK, label=said[kind])
        for kind in _KINDS
        if kind in kinds
    ]
    return [
        *marks,
        Line2D([], [], marker="o", ls="", ms=4, color="0.4", alpha=0.55, label="a seed"),
        Line2D([], [], color="0.4", linewidth=2.0, label="mean, 95 % interval"),
    ]


def _note(configurations: int, shown: pd.DataFrame, rule: str, shared: str, seeds: Floats, limits: Limits) -> str:
    parts = [
        "Diamond and line: the mean of a configuration and its 95 % interval, from its own seeds alone; dots: its "
        f"seeds; dashed: the best mean. Colors: {rule}."
    ]
    if shared:
        parts.append(f"All rows: {shared}.")
    if (shown["low"] < limits.low).any() or (shown["high"] > limits.high).any():
        parts.append("An arrow: the interval continues.")
    if (above := seeds[seeds > limits.high]).size:
        parts.append(f"▸ counts the seeds above {rounded(limits.high)} (up to {rounded(above.max())}).")
    if len(shown) < configurations:
        parts.append(f"The best {len(shown)} of {configurations} configurations that ran with several seeds.")
    return " ".join(parts)
