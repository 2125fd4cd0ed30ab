"""The losses of all runs, sorted: what can be shown of a round whose training curves nobody has."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.legend import colouring, draw_threshold, finish, write_in
from rnnlab.analysis.runs import comparable, factors, finished
from rnnlab.analysis.statistics.ranking import rank
from rnnlab.analysis.words.names import rounded
from rnnlab.analysis.words.sentences import named_run

_INCHES = (style.WIDTH, 4.6)


def rank_figure(
    frame: pd.DataFrame,
    metric: str,
    shares: Mapping[str, float],
    label: str,
    headline: str,
    threshold: float | None = None,
) -> Figure:
    """The metric of every run, best first. At least one run must be comparable.

    shares: of the metric's variance, by setting, largest first. label: of the y axis, with its unit.

    Runs far above the others, and those that diverged, are counted below instead of being drawn.
    """
    good = rank(comparable(frame, metric), metric)
    with style.context():
        limits = style.limits(good[metric])
        inside = good[good[metric] <= limits.high]
        figure = style.new_figure(*_INCHES, headline, _note(frame, good, limits, metric))
        ax = figure.add_subplot()
        colours = colouring(good, metric, shares)
        handles: list[Artist] = [
            Line2D([], [], marker="o", ls="", color=colour, ms=4, label=text) for text, colour in colours.groups
        ]
        size = float(np.clip(5000 / len(good), 6, 36))
        points = ax.scatter(
            *(inside["rank"].astype(float), inside[metric]),
            s=size,
            color=colours.of_run[inside["id"]].tolist(),
            linewidth=0,
            gid="runs",
            rasterized=len(inside) > style.MOST_SHAPES,
        )
        style.name_runs(points, inside["id"])
        ax.set_ylim(limits.low - 0.14 * limits.span, limits.high + 0.1 * limits.span)
        above = good[good[metric] > limits.high]
        edge = [limits.high + 0.06 * limits.span] * len(above)
        marks = ax.scatter(
            above["rank"].astype(float), edge, marker="^", s=size, color=style.INK, linewidth=0, gid="above"
        )
        style.name_runs(marks, above["id"])
        margin = 0.02 * len(good) + 0.5
        ax.set_xlim(1 - margin, len(good) + margin)
        star = ax.scatter(
            [1], [limits.low], s=90, marker="*", color=style.best_colour(), edgecolor=style.INK, zorder=7, gid="best"
        )
        style.name_runs(star, [good["id"].iloc[0]])
        write_in(ax, f"★ best: {named_run(good.iloc[0].to_dict(), metric, factors(frame))}")
        handles += draw_threshold(ax, frame, metric, threshold)
        ax.set_xlabel("rank of the run (1 = best)")
        ax.set_ylabel(label)
        finish(ax, handles, colours.title)
        return figure


def _note(frame: pd.DataFrame, good: pd.DataFrame, limits: style.Limits, metric: str) -> str:
    parts = ["Runs sorted by their loss."]
    above = good[good[metric] > limits.high]
    if len(above):
        parts.append(
            f"▲ marks the {len(above)} runs above {rounded(limits.high)} (up to {rounded(above[metric].max())})."
        )
    if len(finished(frame)) > len(good):
        parts.append(f"{len(finished(frame)) - len(good)} runs diverged and are not drawn.")
    return " ".join(parts)
