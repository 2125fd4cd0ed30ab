"""All training curves of a round in one picture."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from rnnlab.analysis.labels import rounded
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.legend import Coloring, coloring, draw_threshold, finish, write_in
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.curve_lines import Line, band_of, falls_early
from rnnlab.analysis.statistics.outliers import Limits, limits
from rnnlab.analysis.words.names import curve_series, metric_title
from rnnlab.analysis.words.sentences import named_run

_INCHES = (style.WIDTH, 4.8)
_LEAST_RATIO = 20  # of the last to the first step, for a logarithmic axis
_MANY_DECADES = 1e4  # of the same, for labels at powers of ten only


def curves_figure(
    runs: Runs,
    lines: Sequence[Line],
    shares: Mapping[str, float],
    label: str,
    headline: str,
    threshold: float | None = None,
) -> Figure:
    """Every curve as a thin line, colored by the setting that explains most; the best run, the median and the band.

    lines: at least one, from `lines_of`, of the series that shares the metric's axis, if there is one. shares: of the
    metric's variance, by setting, largest first. label: of the y axis, with its unit. threshold: on the same axis
    as the curves. Curves that rise far above the others leave the picture, marked by an arrow.
    """
    with style.context():
        heights = limits([line.values.max() for line in lines], low=min(line.values.min() for line in lines))
        leaving = [line for line in lines if line.values.max() > heights.high or line.broke_off]
        figure = style.new_figure(*_INCHES, headline, _note(len(runs.all), lines, leaving, heights))
        ax = figure.add_subplot()
        ax.set_ylim(heights.low - 0.16 * heights.span, heights.high + 0.08 * heights.span)
        _set_steps(ax, lines)
        shown = runs.of_jobs([line.job_id for line in lines])
        colors = coloring(shown.all, runs.metric, shares)
        _draw_lines(ax, lines, colors)
        handles: list[Artist] = [Line2D([], [], color=color, label=text) for text, color in colors.groups]
        handles += _draw_band(ax, lines)
        handles += _draw_best(ax, shown, lines, runs.all.factors)
        handles += draw_threshold(ax, runs, threshold)
        _mark_leaving(ax, leaving, heights)
        ax.set_ylabel(label)
        finish(ax, handles, colors.title)
        return figure


def _set_steps(ax: Axes, lines: Sequence[Line]) -> None:
    first = min(line.steps[0] for line in lines)
    last = max(line.steps[-1] for line in lines)
    if first > 0 and last / first >= _LEAST_RATIO and falls_early(lines):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if last / first < _MANY_DECADES else (1,)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xlim(first / 1.05, last * 1.05)
        ax.set_xlabel("optimizer steps (logarithmic)")
    else:
        ax.set_xlim(min(first, 0), last * 1.02)
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 2.5, 5, 10]))
        ax.set_xlabel("optimizer steps")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))


def _draw_lines(ax: Axes, lines: Sequence[Line], colors: Coloring) -> None:
    strength = float(np.clip(6 / len(lines) ** 0.55, 0.1, 0.9))
    points = [np.column_stack([line.steps, line.values]) for line in lines]
    shades = [colors.of_run[line.job_id] for line in lines]
    bundle = LineCollection(points, colors=shades, linewidths=0.7, alpha=strength, zorder=2, gid="curves")
    bundle.set_rasterized(sum(map(len, points)) > style.MOST_SHAPES)
    style.name_runs(bundle, [line.job_id for line in lines])
    ax.add_collection(bundle)


def _draw_band(ax: Axes, lines: Sequence[Line]) -> list[Artist]:
    band = band_of(lines)
    if not len(band.steps):
        return []
    for edge in (band.low, band.high):
        ax.plot(band.steps, edge, color=style.INK, linewidth=0.9, linestyle=(0, (1, 1.2)), zorder=5)
    ax.plot(band.steps, band.median, color=style.INK, linewidth=1.6, zorder=5)
    return [
        Line2D([], [], color=style.INK, linewidth=1.6, label="median of the runs"),
        Line2D([], [], color=style.INK, linewidth=0.9, linestyle=(0, (1, 1.2)), label="10 % and 90 % of the runs"),
    ]


def _draw_best(ax: Axes, shown: Runs, lines: Sequence[Line], settings: Sequence[str]) -> list[Artist]:
    """The best run that has a curve, as a thick line; if the metric shares its axis, a star marks the metric."""
    best, metric = shown.best, shown.metric
    if best is None:
        return []
    line = next(line for line in lines if line.job_id == best["id"])
    color = style.best_color()
    ax.plot(line.steps, line.values, color=color, linewidth=1.8, zorder=7)
    if curve_series(metric) is None:
        text = f"best run by {metric_title(metric)}: {best[metric]:.4f}"
        return [Line2D([], [], color=color, linewidth=1.8, label=text)]
    # The last of equal points: a final loss is the last point.
    place = len(line.values) - 1 - int(np.abs(line.values - best[metric])[::-1].argmin())
    star = ax.scatter(line.steps[place], line.values[place], s=90, marker="*", color=color, edgecolor=style.INK)
    star.set(gid="star", zorder=8)
    write_in(ax, f"★ best: {named_run(best, metric, settings)}")
    return [Line2D([], [], color=color, linewidth=1.8, label="best run")]


def _mark_leaving(ax: Axes, leaving: Sequence[Line], limits: Limits) -> None:
    """An arrow at the upper edge where a curve first leaves the picture, or breaks off."""
    steps = []
    for line in leaving:
        above = np.flatnonzero(line.values > limits.high)
        steps.append(line.steps[above[0] if len(above) else -1])
    height = limits.high + 0.05 * limits.span
    ax.scatter(steps, [height] * len(steps), marker="^", s=22, color=style.INK, linewidth=0, zorder=8, gid="leaving")


def _note(jobs: int, lines: Sequence[Line], leaving: Sequence[Line], limits: Limits) -> str:
    parts = [f"{len(lines)} of {jobs} runs have a curve." if len(lines) < jobs else ""]
    if leaving:
        highest = max(line.values.max() for line in leaving)
        verb = "curve leaves" if len(leaving) == 1 else "curves leave"
        parts.append(
            f"▲ {len(leaving)} {verb} the picture above {rounded(limits.high)} (up to {rounded(highest)}) or diverge."
        )
    return " ".join(filter(None, parts))
