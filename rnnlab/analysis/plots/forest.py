"""The effect of each level of each setting, all others equal: mean difference, interval and quartiles, in rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnlab.analysis.labels import is_switch, level_label
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.legend import legend_row
from rnnlab.analysis.statistics.effects import Effect, Effects, is_clear
from rnnlab.analysis.statistics.outliers import limits
from rnnlab.analysis.words.names import setting_at, title

_ROW_INCHES = 0.22
_FRAME_INCHES = 0.9  # axis, legend, one line of headline and of note
_MOST_ROWS = 24
_LONGEST_LABEL = 38  # letters
_LONGEST_TITLE = 36
_LONGEST_LINE = 30  # letters, of the label of an axis
_VERDICTS = {"lower": 0, "higher": 3}  # place among the colors; effects that are not clear are gray


def forest_figure(groups: Mapping[str, Effects], label: str, headline: str) -> Figure:
    """One panel per group of runs, the same rows in each: the largest mean difference of the first group on top.

    groups: title of the panel -> paired effects; at least one effect with a pair in the first. label: of the x axis.
    A row without pairs in a group is empty there. Bars that reach far beyond the others are cut at the edge.
    """
    first = next(iter(groups.values()))
    wanted = [row for row in first.rows if row["pairs"] and np.isfinite(row["mean"])]
    shown = sorted(wanted, key=lambda row: -abs(row["mean"]))[:_MOST_ROWS]
    rows = {}
    for name, effects in groups.items():
        found = {_key(row): row for row in effects.rows}
        rows[name] = [found.get(_key(row)) for row in shown]
    with style.context():
        note = _note(len(wanted), len(shown), any(_any_beyond(panel) for panel in rows.values()))
        figure = style.new_figure(style.WIDTH, 1.0, headline, note)
        lines = figure.get_suptitle().count("\n") + figure.get_supxlabel().count("\n") + 2 * len(groups)
        figure.set_figheight(_FRAME_INCHES + style.LINE_INCHES * lines + _ROW_INCHES * len(shown))
        axes = legend_row(figure, _handles(), len(groups))
        for ax, (name, panel) in zip(axes, rows.items(), strict=True):
            _draw(ax, panel)
            if len(groups) > 1:
                title_text = style.shortened(name, _LONGEST_TITLE)
                ax.set_title(title_text, weight="bold", fontsize=style.LABEL_POINTS, loc="left")
        axes[0].set_yticks(range(len(shown)), [_label(row) for row in shown])
        axes[0].set_ylim(len(shown) - 0.4, -0.6)
        for ax in axes:
            ax.set_xlabel("\n".join(style.lines_of_text(label, _LONGEST_LINE)) if len(groups) > 1 else label)
        return figure


def _key(row: Effect) -> tuple[str, str]:
    return str(row["factor"]), level_label(row["level"])


def _label(row: Effect) -> str:
    name, level = row["factor"], row["level"]
    if is_switch(level):
        return style.shortened(title(name), _LONGEST_LABEL)
    return style.shortened(f"{setting_at(name, level)} against {level_label(row['reference'])}", _LONGEST_LABEL)


def _draw(ax: Axes, rows: Sequence[Effect | None]) -> None:
    here = _drawn(rows)
    places = here.index.tolist()
    ax.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color="0.92")
    ax.set_axisbelow(True)
    if here.empty:
        return
    left, right = _span(here)
    colors = [_color(row) for row in here.to_dict("records")]
    for low, high, width, alpha, name in (("q25", "q75", 7.0, 0.3, "quartiles"), ("low", "high", 1.6, 1.0, "interval")):
        bars = [[(a, y), (b, y)] for a, b, y in zip(here[low], here[high], places, strict=True)]
        ax.add_collection(LineCollection(bars, colors=colors, linewidths=width, alpha=alpha, zorder=2, gid=name))
    inside = here["mean"].clip(left, right)
    marks = {"mean": ("o", here["mean"] == inside), "left": ("<", inside == left), "right": (">", inside == right)}
    for name, (marker, these) in marks.items():
        spots = inside[these], inside.index[these]
        shades = [color for color, one in zip(colors, these, strict=True) if one]
        drawn = ax.scatter(*spots, s=26, marker=marker, color=shades, edgecolor="white", linewidth=0.6, zorder=4)
        drawn.set(gid=name, clip_on=False)
    ax.set_xlim(left, right)
    for place, row in zip(places, here.to_dict("records"), strict=True):
        text = f"{style.decimals(row['mean'], '+')}   {row['better']} of {row['pairs']}"
        ax.text(
            *(1.02, place, text),
            transform=ax.get_yaxis_transform(),
            va="center",
            fontsize=style.TICK_POINTS,
            color=_dark(row),
        )


def _drawn(rows: Sequence[Effect | None]) -> pd.DataFrame:
    """The rows that have a mean, by their places."""
    found = {place: row for place, row in enumerate(rows) if row is not None and np.isfinite(row["mean"])}
    return pd.DataFrame(list(found.values()), index=list(found))


def _any_beyond(rows: Sequence[Effect | None]) -> bool:
    """Whether a mean lies beyond the ends of the axis."""
    here = _drawn(rows)
    return len(here) > 0 and not here["mean"].between(*_span(here)).all()


def _span(rows: pd.DataFrame) -> tuple[float, float]:
    """The ends of the axis: zero, and all bars except those that would squeeze the others."""
    ends = rows[["mean", "q25", "q75", "low", "high"]].to_numpy(dtype=float)
    reach = np.append(ends[np.isfinite(ends)], 0.0)
    most = limits(np.abs(reach), low=0.0).high
    inside = reach[np.abs(reach) <= most]
    margin = 0.05 * max(float(np.ptp(inside)), 1e-9)
    return float(inside.min()) - margin, float(inside.max()) + margin


def _verdict(row: Effect) -> str:
    if not is_clear(row):
        return "unclear"
    return "lower" if row["mean"] < 0 else "higher"


def _color(row: Effect) -> Any:
    verdict = _verdict(row)
    return style.colors(4)[_VERDICTS[verdict]] if verdict in _VERDICTS else "0.6"


def _dark(row: Effect) -> str:
    return style.FAINT if _verdict(row) == "unclear" else style.INK


def _handles() -> list[Artist]:
    lower, higher = (style.colors(4)[place] for place in _VERDICTS.values())
    marks = [("lowers the loss", lower), ("raises it", higher), ("not clear", "0.6")]
    points: list[Artist] = [Line2D([], [], marker="o", ls="", ms=5, color=color, label=text) for text, color in marks]
    return [
        *points,
        Line2D([], [], color="0.4", linewidth=1.6, label="95 % interval"),
        Line2D([], [], color="0.4", linewidth=7.0, alpha=0.3, label="half of the pairs"),
    ]


def _note(effects: int, shown: int, any_beyond: bool) -> str:
    parts = [
        "A pair is two configurations that differ in this setting only. Dot: the mean difference; line: its 95 % "
        "interval for run-to-run noise; band: the middle half of the pairs. Right: the mean, and in how many pairs the "
        "loss is lower."
    ]
    if any_beyond:
        parts.append("An arrow: the mean lies beyond the edge.")
    if shown < effects:
        parts.append(f"The {effects - shown} smallest of {effects} effects are left out.")
    return " ".join(parts)
