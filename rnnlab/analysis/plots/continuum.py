"""One panel of a swarm picture for a setting with too many values for levels: every run at its value."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.scales import is_logarithmic
from rnnlab.analysis.statistics.outliers import Limits
from rnnlab.analysis.statistics.panels import Continuum, Panels, running_median

_MANY_DECADES = 1e3  # of the largest to the smallest value, for labels at powers of ten only


def set_values(ax: Axes, continuum: Continuum) -> None:
    """The axis of the setting, over the values of all finished runs."""
    values = np.concatenate([continuum.values, continuum.lost])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if is_logarithmic(values[np.isfinite(values)]):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1,) if high / low >= _MANY_DECADES else (1, 2, 5)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        margin = (high / low) ** 0.03
        ax.set_xlim(low / margin, high * margin)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(5))
        margin = 0.03 * (high - low)
        ax.set_xlim(low - margin, high + margin)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def draw_continuum(ax: Axes, continuum: Continuum, panels: Panels, limits: Limits) -> None:
    """The runs, their running median, and triangles at the upper edge for those that diverged or lie above it."""
    losses = panels.values
    inside = losses <= limits.high
    size = float(np.clip(5000 / max(len(losses), 1), 4, 20))
    points = ax.scatter(
        continuum.values[inside], losses[inside], s=size, color=style.colors(1), linewidth=0, alpha=0.6, zorder=2
    )
    points.set(gid="runs", rasterized=len(losses) > style.MOST_SHAPES)
    style.name_runs(points, panels.job_ids[inside])
    beyond = np.concatenate([continuum.values[~inside], continuum.lost])
    edge = np.full(len(beyond), limits.high + 0.03 * limits.span)
    ax.scatter(beyond, edge, s=12, marker="^", color=style.INK, alpha=0.5, linewidth=0, zorder=3, gid="beyond")
    # A median far beyond the axis cannot be drawn.
    shown = np.minimum(losses, limits.high + limits.span)
    ax.plot(*running_median(continuum.values, shown), color=style.INK, linewidth=1.3, zorder=4, gid="median")
