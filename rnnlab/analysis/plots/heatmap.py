"""Two numeric settings against each other: the median metric in each cell, a panel for each level of a third."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rnnlab.analysis.labels import level_label
from rnnlab.analysis.plots import style
from rnnlab.analysis.statistics.heatmap_cells import Grid, HeatmapCells
from rnnlab.analysis.statistics.outliers import limits
from rnnlab.analysis.words.names import cell_text, setting_at, title

_LEAST_CELL_INCHES = 0.37  # across: room for a number
_ROW_INCHES = 0.34
_LONGEST_LABEL = 30  # letters
_SCALE_INCHES = 1.9  # at the sides of the panels: labels of the rows, and the color scale


def heatmap_figure(cells: HeatmapCells, label: str, headline: str) -> Figure:
    """cells: with a run that can be compared in at least one of them. label: of the scale."""
    choice, across, up, panels = cells.choice, cells.across, cells.up, cells.grids
    fitting = int((style.WIDTH - _SCALE_INCHES) / (_LEAST_CELL_INCHES * len(across)))
    columns = max(1, min(len(panels), fitting))
    rows = -(-len(panels) // columns)
    scale = limits(np.concatenate([panel.medians.ravel() for panel in panels]))
    norm = Normalize(scale.low, scale.low + scale.span)
    with style.context():
        height = rows * (_ROW_INCHES * max(len(up), 3) + 0.5) + 1.6
        figure = style.new_figure(style.WIDTH, height, headline, _note(panels))
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        lowest = min(float(np.nanmin(panel.medians)) for panel in panels if np.isfinite(panel.medians).any())
        image: Any = None
        for ax, panel in zip(axes, panels, strict=False):
            # One value far beyond the scale would make all others one color.
            shown = np.minimum(panel.medians, scale.high + scale.span)
            image = ax.imshow(shown, cmap=style.metric_colors(), norm=norm, aspect="auto", origin="lower")
            _write(ax, panel, norm, lowest)
            ax.set_xticks(range(len(across)), [level_label(level) for level in across])
            ax.set_yticks(range(len(up)), [level_label(level) for level in up])
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
            if choice.panels is not None:
                heading = style.shortened(setting_at(choice.panels, panel.level), 40)
                ax.set_title(heading, weight="bold", fontsize=style.LABEL_POINTS)
        for place, ax in enumerate(axes):
            ax.set_visible(place < len(panels))
            ax.tick_params(labelbottom=place + columns >= len(panels))
            if place + columns >= len(panels):
                ax.set_xlabel(title(choice.across))
            if place % columns == 0:
                ax.set_ylabel(title(choice.up))
        bar = figure.colorbar(
            image, ax=axes.tolist(), pad=0.02, extend="max" if scale.high < _highest(panels) else "neither"
        )
        bar.set_label("\n".join(style.lines_of_text(f"median of {label}", _LONGEST_LABEL)))
        bar.outline.set_visible(False)
        return figure


def _highest(panels: Sequence[Grid]) -> float:
    return max(float(np.nanmax(panel.medians)) for panel in panels if np.isfinite(panel.medians).any())


def _write(ax: Axes, panel: Grid, norm: Normalize, lowest: float) -> None:
    for row, column in np.ndindex(panel.medians.shape):
        median = float(panel.medians[row, column])
        if np.isfinite(median):
            text, color = cell_text(median), style.ink_on(style.metric_colors()(norm(median)))
        elif panel.lost[row, column]:
            text, color = "div.", style.FAINT
        else:
            text, color = "–", style.FAINT
        ax.text(
            *(column, row, text),
            ha="center",
            va="center",
            fontsize=style.TICK_POINTS,
            weight="bold" if median == lowest else "normal",
            color=color,
        )
        if median == lowest:
            border = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=style.best_color(), linewidth=2.5)
            ax.add_patch(border)
            # The axes would cut its outer half off.
            border.set(gid="lowest", clip_on=False)


def _note(panels: Sequence[Grid]) -> str:
    counts = np.concatenate([panel.counts.ravel() for panel in panels])
    counts = counts[counts > 0]
    if counts.max() == 1:
        parts = ["Each cell is one run."]
    else:
        many = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        parts = [f"Each cell is the median of its runs ({many}), over all other settings and seeds."]
    parts.append("Framed: the lowest.")
    lost = sum(int(panel.lost.sum()) for panel in panels)
    if lost:
        who = "1 run that diverged is" if lost == 1 else f"{lost} runs that diverged are"
        parts.append(f"{who} not in the medians (div.: all runs of the cell).")
    if any((panel.counts + panel.lost == 0).any() for panel in panels):
        parts.append("–: no run.")
    return " ".join(parts)
