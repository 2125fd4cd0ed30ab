"""The losses of all runs, sorted: the picture of a round without training curves."""

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnlab.analysis.labels import rounded
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.legend import coloring, draw_threshold, finish, write_in
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.outliers import Limits, limits
from rnnlab.analysis.words.sentences import named_run

_INCHES = (style.WIDTH, 4.6)


def rank_figure(
    runs: Runs,
    shares: Mapping[str, float],
    label: str,
    headline: str,
    threshold: float | None = None,
) -> Figure:
    """The metric of every run, best first. At least one run must be comparable.

    shares: of the metric's variance, by setting, largest first. label: of the y axis, with its unit.

    Runs far above the others are drawn at the upper edge, and runs that diverged are counted in the note.
    """
    metric, good = runs.metric, runs.best_first.frame
    with style.context():
        heights = limits(good[metric])
        inside = good[good[metric] <= heights.high]
        figure = style.new_figure(*_INCHES, headline, _note(runs, heights))
        ax = figure.add_subplot()
        colors = coloring(runs.best_first, metric, shares)
        handles: list[Artist] = [
            Line2D([], [], marker="o", ls="", color=color, ms=4, label=text) for text, color in colors.groups
        ]
        size = float(np.clip(5000 / len(good), 6, 36))
        points = ax.scatter(
            *(inside["rank"].astype(float), inside[metric]),
            s=size,
            color=colors.of_run[inside["id"]].tolist(),
            linewidth=0,
            gid="runs",
            rasterized=len(inside) > style.MOST_SHAPES,
        )
        style.name_runs(points, inside["id"])
        ax.set_ylim(heights.low - 0.14 * heights.span, heights.high + 0.1 * heights.span)
        above = good[good[metric] > heights.high]
        edge = [heights.high + 0.06 * heights.span] * len(above)
        marks = ax.scatter(
            above["rank"].astype(float), edge, marker="^", s=size, color=style.INK, linewidth=0, gid="above"
        )
        style.name_runs(marks, above["id"])
        margin = 0.02 * len(good) + 0.5
        ax.set_xlim(1 - margin, len(good) + margin)
        star = ax.scatter(
            [1], [heights.low], s=90, marker="*", color=style.best_color(), edgecolor=style.INK, zorder=7, gid="best"
        )
        style.name_runs(star, [good["id"].iloc[0]])
        write_in(ax, f"★ best: {named_run(good.iloc[0].to_dict(), metric, runs.all.factors)}")
        handles += draw_threshold(ax, runs, threshold)
        ax.set_xlabel("rank of the run (1 = best)")
        ax.set_ylabel(label)
        finish(ax, handles, colors.title)
        return figure


def _note(runs: Runs, limits: Limits) -> str:
    parts = ["Runs sorted by their loss."]
    above = runs.losses[runs.losses > limits.high]
    if len(above):
        parts.append(f"▲ marks the {len(above)} runs above {rounded(limits.high)} (up to {rounded(above.max())}).")
    if len(runs.incomparable):
        parts.append(f"{len(runs.incomparable)} runs that cannot be compared are not drawn.")
    return " ".join(parts)
