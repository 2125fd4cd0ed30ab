"""How much of the variance each setting explains, alone and together with another one, as a triangle of shares."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnlab.analysis.plots import style
from rnnlab.analysis.words.names import title

_MOST_SETTINGS = 12
_CELL_INCHES = 0.42
_LONGEST_LABEL = 24  # letters
_MATRIX_INCHES = 5.0  # across, about
_LETTER_INCHES = 0.075
_FEWEST_LETTERS = 9  # in a line under a column, before names are turned
_LEAST_SHOWN = 0.0005  # a smaller share is written as 0


class Shares(Protocol):
    """What is drawn of a decomposition of the variance (`rnnlab.analysis.statistics.variance.Decomposition`)."""

    @property
    def main(self) -> Mapping[str, float]:
        """Share of each setting alone; NaN, here and for pairs, where it cannot be separated from others."""

    @property
    def interactions(self) -> Mapping[tuple[str, str], float]:
        """Share of each pair of settings, beyond what they explain alone."""

    @property
    def method(self) -> str:
        """How the shares were computed, in one sentence."""


def interactions_figure(shares: Shares, headline: str) -> Figure:
    """The lower triangle of a matrix: settings alone on the diagonal, pairs below it. At least two settings.

    The settings that take part in most of the variance come first; of more than twelve the others are left out.
    """
    names = _ordered(shares)
    shown = names[:_MOST_SETTINGS]
    matrix = share_matrix(shares, shown)
    with style.context():
        side = _CELL_INCHES * len(shown)
        figure = style.new_figure(style.WIDTH, max(side, 1.6) + 1.9, headline, _note(shares, len(names), len(shown)))
        ax = figure.add_subplot()
        top = max(float(np.nanmax(matrix)), _LEAST_SHOWN)
        norm = PowerNorm(0.5, 0.0, top)  # small shares must not all look like none
        image = ax.imshow(matrix, cmap=style.share_colours(), norm=norm, aspect="auto")
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


def share_matrix(shares: Shares, names: Sequence[str]) -> NDArray[np.float64]:
    """(n, n): on the diagonal the share of each setting, below it that of each pair, NaN above it."""
    matrix = np.full((len(names), len(names)), np.nan)
    for row, name in enumerate(names):
        matrix[row, row] = shares.main[name]
        for column, other in enumerate(names[:row]):
            matrix[row, column] = _of_pair(shares, name, other)
    return matrix


def _of_pair(shares: Shares, one: str, other: str) -> float:
    return shares.interactions.get((one, other), shares.interactions.get((other, one), float("nan")))


def _ordered(shares: Shares) -> list[str]:
    """The settings, most involved first."""
    total = {
        name: np.nansum([share, *(both for pair, both in shares.interactions.items() if name in pair)])
        for name, share in shares.main.items()
    }
    return sorted(total, key=lambda name: -total[name])


def _write(ax: Axes, matrix: NDArray[np.float64], norm: PowerNorm) -> None:
    for row, column in np.argwhere(np.isfinite(matrix)).tolist():
        share = float(matrix[row, column])
        ax.text(
            *(column, row, _percent(share)),
            ha="center",
            va="center",
            fontsize=style.TICK_POINTS,
            weight="bold" if row == column else "normal",
            color=style.ink_on(style.share_colours()(norm(share))),
        )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share >= _LEAST_SHOWN else "0"


def _note(shares: Shares, settings: int, shown: int) -> str:
    left_out = f" The {settings - shown} settings that explain least are left out." if shown < settings else ""
    return (
        "Percent of the variance. Diagonal: what a setting explains alone; below it: what two settings explain "
        f"together beyond that.{left_out}\nMethod: {shares.method}."
    )
