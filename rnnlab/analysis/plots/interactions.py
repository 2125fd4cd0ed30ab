"""The share of the variance that each setting explains, alone and together with another one, as a triangle."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnlab.analysis.plots import style
from rnnlab.analysis.statistics.variance import LEAST_SHOWN, Decomposition
from rnnlab.analysis.words.names import title
from rnnlab.analysis.words.sentences import method_of_shares

_MOST_SETTINGS = 12
_CELL_INCHES = 0.42
_LONGEST_LABEL = 24  # letters
_MATRIX_INCHES = 5.0  # across, about
_LETTER_INCHES = 0.075
_FEWEST_LETTERS = 9  # in a line under a column; with fewer, names are rotated


def interactions_figure(shares: Decomposition, headline: str) -> Figure:
    """The lower triangle of a matrix: settings alone on the diagonal, pairs below it. At least two settings.

    The settings that are involved in most of the variance come first; beyond twelve, the others are left out.
    """
    names = shares.most_involved
    shown = names[:_MOST_SETTINGS]
    matrix = shares.matrix(shown)
    with style.context():
        side = _CELL_INCHES * len(shown)
        figure = style.new_figure(style.WIDTH, max(side, 1.6) + 1.9, headline, _note(shares, len(names), len(shown)))
        ax = figure.add_subplot()
        top = max(float(np.nanmax(matrix)), LEAST_SHOWN)
        norm = PowerNorm(0.5, 0.0, top)  # otherwise all small shares would look like zero
        image = ax.imshow(matrix, cmap=style.share_colors(), norm=norm, aspect="auto")
        _write(ax, matrix, norm)
        labels = [style.shortened(title(name), _LONGEST_LABEL) for name in shown]
        ax.set_yticks(range(len(shown)), labels)
        letters = int(_MATRIX_INCHES / len(shown) / _LETTER_INCHES)
        if letters >= _FEWEST_LETTERS:
            ax.set_xticks(range(len(shown)), ["\n".join(style.lines_of_text(label, letters)) for label in labels])
        else:
            ax.set_xticks(range(len(shown)), labels, rotation=90)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        bar = figure.colorbar(image, ax=ax, pad=0.02, format=lambda share, _: f"{100 * share:g} %")
        bar.set_label("share of the variance")
        bar.outline.set_visible(False)
        return figure


def _write(ax: Axes, matrix: NDArray[np.float64], norm: PowerNorm) -> None:
    for row, column in np.argwhere(np.isfinite(matrix)).tolist():
        share = float(matrix[row, column])
        ax.text(
            *(column, row, _percent(share)),
            ha="center",
            va="center",
            fontsize=style.TICK_POINTS,
            weight="bold" if row == column else "normal",
            color=style.ink_on(style.share_colors()(norm(share))),
        )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= LEAST_SHOWN else "0"


def _note(shares: Decomposition, settings: int, shown: int) -> str:
    left_out = f" The {settings - shown} settings that explain least are left out." if shown < settings else ""
    return (
        "Percent of the variance. Diagonal: what a setting explains alone; below it: what two settings explain "
        f"together beyond that.{left_out}\nMethod: {method_of_shares(shares)}."
    )
