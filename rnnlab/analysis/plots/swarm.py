"""One panel for each setting that varies: its values across, the metric of every run above them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnlab.analysis.labels import level_label, rounded
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.continuum import draw_continuum, set_values
from rnnlab.analysis.plots.placement import place_swarms
from rnnlab.analysis.statistics.outliers import Limits, limits
from rnnlab.analysis.statistics.panels import Level, Panel, Panels
from rnnlab.analysis.words.names import title

_COLUMNS = 3
_PANEL_INCHES = (style.WIDTH / _COLUMNS, 2.3)
_LEAST_INCHES = 3.0  # of all rows together: room for the label of the y axis
_HALF_WIDTH = 0.46  # room of a swarm, of the distance between two levels
_SIZES = [6.0 * 0.92**k for k in range(19)]  # diameters in points: 6 down to 1.3
_CROWDED_ALPHA = 0.6
_THRESHOLD_REACH = 0.3  # of the axis: a threshold farther outside is not shown
_SMALL_POINTS = 6.5  # of a level's label, where the ordinary size does not fit
_LONGEST_LABEL = 24  # letters of a level
_TITLE_LETTERS = 26  # of a panel, in each of its columns
_LABEL_GAP = 12  # dots between the labels of two levels


def swarm_figure(panels: Panels, label: str, headline: str, threshold: float | None = None) -> Figure:
    """Every run as a point in every panel; the mean of each level as a bar, its number under the level.

    label: of the y axis, with its unit. Points never leave their level: the fullest level determines one size for the
    whole picture, and if even the smallest does not fit, points are spread by density and the note says so.
    Runs that diverged or lie far above the rest are counted at the upper edge.
    """
    with style.context():
        spans = [_span(panel) for panel in panels.panels]
        columns = _columns(spans)
        places = _places(spans, columns)
        rows = max(row for row, _ in places) + 1
        heights = limits(panels.values)
        if threshold is not None:
            heights, threshold = _with_threshold(heights, threshold)
        note = _note(panels, heights, threshold, crowded=True)
        size = (max(columns, 2) * _PANEL_INCHES[0], max(rows * _PANEL_INCHES[1], _LEAST_INCHES) + 1.0)
        figure = style.new_figure(*size, headline, note)
        figure.supylabel(label, fontsize=style.LABEL_POINTS)
        axes = _empty_axes(figure, panels, places, spans, columns)
        counted = _counts_lost(panels) or bool((panels.values > heights.high).any())
        _set_heights(axes[0], heights, counted)
        _lay_out(figure, axes, panels)
        crowded = _draw_runs(axes, panels, heights)
        for ax, panel in zip(axes, panels.panels, strict=True):
            if panel.continuum is None:
                _draw_means(ax, panel, heights)
            if counted:
                _count_lost(ax, panel, panels, heights)
            if threshold is not None:
                ax.axhline(threshold, color=style.FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        style.set_note(figure, _note(panels, heights, threshold, crowded))
        return figure


def _span(panel: Panel) -> int:
    """Columns that a panel takes: each level needs room for its points and its number."""
    n_levels = len(panel.levels)
    if panel.continuum is not None:
        return 2
    return 1 if n_levels <= 4 else 2 if n_levels <= 9 else _COLUMNS


def _columns(spans: Sequence[int]) -> int:
    """Columns of the picture: three, or fewer if that leaves smaller gaps."""
    if sum(spans) < _COLUMNS:
        return sum(spans)
    if max(spans) > 2 or (max(spans) == 1 and len(spans) != 4):
        return _COLUMNS
    rows = {columns: max(row for row, _ in _places(spans, columns)) + 1 for columns in (_COLUMNS, 2)}
    return min(rows, key=lambda columns: columns * rows[columns])


def _places(spans: Sequence[int], columns: int) -> list[tuple[int, int]]:
    """(row, first column) of each panel, in the first row that has room for it."""
    places: list[tuple[int, int]] = []
    taken: list[int] = []  # columns of each row
    for span in spans:
        row = next((row for row, used in enumerate(taken) if used + span <= columns), len(taken))
        taken[row:] = taken[row:] or [0]
        places.append((row, taken[row]))
        taken[row] += span
    return places


def _empty_axes(
    figure: Figure, panels: Panels, places: Sequence[tuple[int, int]], spans: Sequence[int], columns: int
) -> list[Axes]:
    grid = figure.add_gridspec(max(row for row, _ in places) + 1, columns)
    axes: list[Axes] = []
    for panel, (row, column), span in zip(panels.panels, places, spans, strict=True):
        ax = figure.add_subplot(grid[row, column : column + span], sharey=axes[0] if axes else None)
        heading = "all runs" if panel.setting is None else title(panel.setting)
        ax.set_title(style.shortened(heading, _TITLE_LETTERS * span), weight="bold", fontsize=style.LABEL_POINTS)
        ax.tick_params(labelleft=column == 0)
        ax.grid(axis="y", color="0.92")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        if panel.continuum is not None:
            set_values(ax, panel.continuum)
        axes.append(ax)
    return axes


def _with_threshold(limits: Limits, threshold: float) -> tuple[Limits, float | None]:
    """The limits, extended to a threshold nearby; a distant threshold is not shown."""
    margin = _THRESHOLD_REACH * limits.span
    if limits.low - margin <= threshold <= limits.high + margin:
        return Limits(min(limits.low, threshold), max(limits.high, threshold)), threshold
    return limits, None


def _set_heights(ax: Axes, limits: Limits, counted: bool) -> None:
    ax.set_ylim(limits.low - 0.07 * limits.span, limits.high + (0.14 if counted else 0.05) * limits.span)


def _label_levels(
    ax: Axes,
    panel: Panel,
    selected: bool,
    words: tuple[str, str] = ("", ""),
    separator: str = "\n",
    rotation: float = 0.0,
    points: float = style.TICK_POINTS,
) -> None:
    """words: before the mean and before the paired difference."""
    labels = [separator.join(filter(None, _of_level(panel, level, selected, words))) for level in panel.levels]
    if panel.continuum is not None:
        ax.set_xlabel(
            ", ".join(filter(None, _of_level(panel, panel.levels[0], selected, ("mean ", "")))), fontsize=points
        )
        return
    ax.set_xlim(-0.5, len(labels) - 0.5)
    ax.set_xticks(range(len(labels)), labels, rotation=rotation, fontsize=points)
    ax.tick_params(axis="x", length=0)


def _of_level(panel: Panel, level: Level, selected: bool, words: tuple[str, str]) -> list[str]:
    has_name = panel.setting is not None and panel.continuum is None
    name = style.shortened(level_label(level.value), _LONGEST_LABEL) if has_name else ""
    shown = len(level.runs)
    count = f"{shown} of {level.total}" if selected else f"n {shown}"
    mean = words[0] + style.decimals(level.mean) if shown else "–"
    return [name, count, mean, "" if np.isnan(level.paired) else words[1] + style.decimals(level.paired, "+")]


def _lay_out(figure: Figure, axes: Sequence[Axes], panels: Panels) -> None:
    """Label the levels, shorter or rotated if labels would overlap, and fix the positions of the axes."""
    for ax, panel in zip(axes, panels.panels, strict=True):
        _label_levels(ax, panel, panels.selected, ("mean ", "paired "))
    figure.draw_without_rendering()
    for ax, panel in zip(axes, panels.panels, strict=True):
        if panel.continuum is not None:
            continue
        if _labels_overlap(ax):
            _label_levels(ax, panel, panels.selected)
        if _labels_overlap(ax):
            _label_levels(ax, panel, panels.selected, points=_SMALL_POINTS)
        if _labels_overlap(ax):
            _label_levels(ax, panel, panels.selected, separator="  ", rotation=90.0)
            # Make the figure taller for the rotated labels, so that the panels keep their size.
            tallest = max(label.get_window_extent().height for label in ax.get_xticklabels())
            figure.set_figheight(figure.get_figheight() + tallest / figure.dpi)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def _labels_overlap(ax: Axes) -> bool:
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    return any(left.x1 + _LABEL_GAP > right.x0 for left, right in pairwise(boxes))


def _draw_runs(axes: Sequence[Axes], panels: Panels, limits: Limits) -> bool:
    """Draw the runs inside the limits. Returns True if they are crowded, so that some overlap."""
    groups, rooms, unit = [], [], []
    for ax, panel in zip(axes, panels.panels, strict=True):
        if panel.continuum is not None:
            continue
        box = ax.get_window_extent()
        to_points = style.POINTS_PER_INCH / ax.figure.dpi
        bottom, top = ax.get_ylim()
        colors = style.colors(len(panel.levels))
        for position, level in enumerate(panel.levels):
            inside = level.runs[panels.values[level.runs] <= limits.high]
            width = box.width * to_points / len(panel.levels)
            heights = (panels.values[inside] - bottom) / (top - bottom) * box.height * to_points
            groups.append(heights)
            rooms.append(width * _HALF_WIDTH)
            unit.append((ax, position, inside, width, colors[position]))
    offsets, size, apart = place_swarms(groups, rooms, _SIZES)
    best = int(np.argmin(panels.values)) if len(panels.values) else -1
    many = sum(map(len, groups)) > style.MOST_SHAPES
    for (ax, position, inside, width, color), offset in zip(unit, offsets, strict=True):
        x = position + offset / width
        alpha = 1.0 if apart else _CROWDED_ALPHA
        points = ax.scatter(x, panels.values[inside], s=size**2, color=[color], linewidth=0, alpha=alpha, zorder=2)
        points.set(gid="runs", rasterized=many)
        style.name_runs(points, panels.job_ids[inside])
        if best in inside:
            _draw_best(ax, float(x[inside == best][0]), panels, best, color)
    for ax, panel in zip(axes, panels.panels, strict=True):
        if panel.continuum is not None:
            draw_continuum(ax, panel.continuum, panels, limits)
            _draw_best(ax, float(panel.continuum.values[best]), panels, best, style.colors(1)[0])
    return not apart


def _draw_best(ax: Axes, x: float, panels: Panels, best: int, color: Any) -> None:
    y = panels.values[best]
    star = ax.scatter([x], [y], s=70, marker="*", color=[color], edgecolor=style.INK, linewidth=0.8, zorder=5)
    star.set_gid("best")
    style.name_runs(star, [panels.job_ids[best]])


def _draw_means(ax: Axes, panel: Panel, limits: Limits) -> None:
    for position, level in enumerate(panel.levels):
        if len(level.runs) and level.mean <= limits.high:
            ax.hlines(level.mean, position - 0.36, position + 0.36, color=style.INK, linewidth=1.3, zorder=4)


def _counts_lost(panels: Panels) -> bool:
    """Whether diverged runs are counted: not in a picture of the runs below a threshold."""
    return panels.lost > 0 and not panels.selected


def _count_lost(ax: Axes, panel: Panel, panels: Panels, limits: Limits) -> None:
    colors = style.colors(len(panel.levels))
    # The only level of a continuum has no position on the axis.
    middles = [0.5] if panel.continuum is not None else (np.arange(len(panel.levels)) + 0.5) / len(panel.levels)
    for middle, level, color in zip(middles, panel.levels, colors, strict=True):
        missing = int((panels.values[level.runs] > limits.high).sum())
        if _counts_lost(panels):
            missing += level.lost
        if missing:
            ax.text(
                *(middle, 0.985, f"▲ {missing}"),
                transform=ax.transAxes,
                ha="center",
                va="top",
                fontsize=style.TICK_POINTS,
                color=color,
                weight="bold",
            )


def _note(panels: Panels, limits: Limits, threshold: float | None, crowded: bool) -> str:
    parts = ["A point is a run, the bar the mean of a level, the star the best run."]
    levels = [level for panel in panels.panels if panel.continuum is None for level in panel.levels]
    if any(np.isfinite(level.paired) for level in levels):
        parts.append(
            "Under each level: its value, number of runs, mean, and its paired effect, the median difference from the "
            "first level between runs that differ in nothing else. Levels may differ in other settings too: the means "
            "include that, the paired effects do not."
        )
    else:
        parts.append("Under each level: its value, number of runs and mean.")
        parts += ["Levels may differ in other settings too."] if len(panels.panels) > 1 else []
    if any(panel.continuum is not None for panel in panels.panels):
        parts.append("Where a setting has many values, its runs are shown along an axis, with their running median.")
    if crowded:
        parts.append("Too many runs to separate all points: their spread shows the density.")
    above = panels.values[panels.values > limits.high]
    reasons = [f"lie above {rounded(limits.high)} (up to {rounded(above.max())}; in the means)"] if len(above) else []
    reasons += ["diverged (not in the means)"] if _counts_lost(panels) else []
    if reasons:
        parts.append(f"▲ counts the runs that {' or '.join(reasons)}.")
    if threshold is not None:
        parts.append(f"Dashed: the threshold {threshold:g}.")
    return " ".join(parts)
