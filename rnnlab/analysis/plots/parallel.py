"""Parallel coordinates: one line per run through all its settings to its metric, colored by its rank."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from rnnlab.analysis.labels import rounded
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.parallel_axes import Axis, axis_of, thinned
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.outliers import Limits, limits

_INCHES = (style.WIDTH, 4.6)
MOST_SETTINGS = 10
MOST_LINES = 500
_EASE = 0.4  # of the distance between two axes: how far a line is level next to an axis
_BAR_WIDTH = 0.12  # of the distance between two axes: the scale of colors along the metric

Floats = NDArray[np.float64]


def parallel_figure(runs: Runs, settings: Sequence[str], label: str, headline: str) -> Figure:
    """settings: from left to right, at least one. label: of the metric's axis. At least two runs must be comparable.

    The best tenth of the runs is drawn with strong lines over the others. With more than five hundred runs, a regular
    sample is drawn. Runs far above the others end at the upper end of the metric.
    """
    ranked = runs.best_first
    losses = ranked.frame[runs.metric].to_numpy(dtype=float)
    with style.context():
        ends = limits(losses)
        axes_of_settings = [axis_of(ranked, name) for name in settings]
        shown = thinned(len(ranked), MOST_LINES)
        figure = style.new_figure(*_INCHES, headline, _note(losses, ends, len(shown)))
        ax = figure.add_subplot()
        heights = np.column_stack(
            [*(axis.heights for axis in axes_of_settings), np.clip((losses - ends.low) / ends.span, 0, 1)]
        )
        ids = ranked.frame["id"].to_numpy()[shown]
        _draw_lines(ax, heights[shown], ids, shown / len(ranked), shown < max(1, len(ranked) // 10))
        _draw_axes(ax, axes_of_settings)
        _draw_metric(ax, len(settings), losses, ends, label)
        return figure


def _draw_lines(
    ax: Axes, heights: Floats, job_ids: NDArray[np.int64], ranks: Floats, is_best: NDArray[np.bool_]
) -> None:
    """heights: (runs, axes), best run first. ranks: 0 is the best run, 1 the worst."""
    paths = [_eased(row) for row in heights]
    shades = style.metric_colors()(ranks)
    n = len(paths)
    others = float(np.clip(6 / n**0.5, 0.12, 0.7))
    for here, width, alpha, layer, name in (
        (np.flatnonzero(~is_best), 0.6 if n > 100 else 1.0, others, 2, "others"),
        (
            np.flatnonzero(is_best),
            0.9 if n > 50 else 1.4,
            float(np.clip(8 / is_best.sum() ** 0.5, 0.5, 1.0)),
            3,
            "best",
        ),
    ):
        # The best of each group is drawn last, so it is on top.
        bundle = PathCollection([paths[i] for i in here[::-1]], facecolors="none", edgecolors=shades[here[::-1]])
        bundle.set(linewidths=width, alpha=alpha, gid=name, zorder=layer, clip_on=False)
        style.name_runs(bundle, job_ids[here[::-1]])
        ax.add_collection(bundle)


def _eased(heights: Floats) -> Path:
    """A smooth line through these heights at 0, 1, 2, ...: level at each."""
    x = np.arange(len(heights), dtype=float)
    corners = np.column_stack([np.repeat(x, 3), np.repeat(heights, 3)])
    corners[::3, 0] -= _EASE
    corners[2::3, 0] += _EASE
    return Path(corners[1:-1], [Path.MOVETO, *[Path.CURVE4] * (3 * len(heights) - 3)])


def _draw_axes(ax: Axes, settings: Sequence[Axis]) -> None:
    last = len(settings)
    room = style.WIDTH * style.POINTS_PER_INCH * 0.8 / (last + 0.6)
    letters = max(int(room / (0.62 * style.TICK_POINTS)), 4)
    backdrop = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.75}
    for place, axis in enumerate(settings):
        ax.axvline(place, color=style.INK, linewidth=0.8, zorder=4)
        for height, text in axis.ticks:
            ax.text(
                *(place, height, _broken(text, letters)),
                ha="center",
                va="center",
                fontsize=style.TICK_POINTS,
                zorder=5,
                bbox=backdrop,
                linespacing=1.0,
            )
    ax.set_xticks(range(last), [_broken(axis.title, letters + 1) for axis in settings], weight="bold")
    ax.tick_params(axis="x", length=0)


def _draw_metric(ax: Axes, place: int, losses: Floats, limits: Limits, label: str) -> None:
    """The last axis, with the color that a run of each loss has. losses: ascending."""
    strip = np.searchsorted(losses, limits.low + np.linspace(0, 1, 256) * limits.span, side="right") / len(losses)
    ax.imshow(
        strip[:, None],
        cmap=style.metric_colors(),
        norm=Normalize(0, 1),
        aspect="auto",
        origin="lower",
        zorder=4,
        extent=(place, place + _BAR_WIDTH, 0, 1),
    )
    ax.set_xlim(-0.4, place + _BAR_WIDTH)
    ax.set_ylim(-0.03, 1.03)
    marks = [mark for mark in MaxNLocator(7).tick_values(limits.low, limits.high) if limits.low <= mark <= limits.high]
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    ax.set_yticks([(mark - limits.low) / limits.span for mark in marks], [f"{mark:,.10g}" for mark in marks])
    ax.set_ylabel(label)
    ax.spines[:].set_visible(False)


def _broken(text: str, letters: int) -> str:
    """A label over several lines, each with at most this many letters."""
    lines = textwrap.wrap(text, letters, break_long_words=False, break_on_hyphens=False)
    return "\n".join(style.shortened(line, letters) for line in lines)


def _note(losses: Floats, limits: Limits, shown: int) -> str:
    parts = [
        "A line is a run, from setting to setting to its loss on the right; its color is its rank, and the best tenth "
        "is on top. Lines spread over a band at each level, best at the bottom: a wide band means "
        "many runs."
    ]
    if shown < len(losses):
        parts.append(f"{shown:,} of {len(losses):,} runs are drawn: the best, and a regular sample of the others.")
    above = int((losses > limits.high).sum())
    if above:
        parts.append(f"{above} runs above {rounded(limits.high)} end at the top.")
    return " ".join(parts)
