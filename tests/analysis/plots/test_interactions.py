"""The picture of the shares of the variance."""

import numpy as np
import pandas as pd
import pytest

from rnnlab.analysis.plots.interactions import interactions_figure
from rnnlab.analysis.statistics.variance import Decomposition
from rnnlab.analysis.words import headlines
from tests.support.legibility import check_texts, plain
from tests.support.round_statistics import statistics_of


def made_up_shares(main: dict[str, float], interactions: dict[tuple[str, str], float]) -> Decomposition:
    """Shares that were not computed from runs."""
    return Decomposition(main, interactions, residual=0.0, runs=9, varies=True, exact=True)


SHARES = made_up_shares(
    {"cell": 0.3, "learning_rate": 0.2, "n_layers": 0.0}, {("learning_rate", "cell"): 0.25, ("n_layers", "cell"): 0.02}
)


def test_the_matrix_holds_each_share_once() -> None:
    matrix = SHARES.matrix(["cell", "learning_rate", "n_layers"])
    nan = np.nan
    expected = np.array([[0.3, nan, nan], [0.25, 0.2, nan], [0.02, nan, 0.0]])
    assert np.array_equal(matrix, expected, equal_nan=True)


def test_cells_are_written_in_percent_and_the_method_below() -> None:
    figure = interactions_figure(SHARES, "A finding")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cell", "learning rate", "layers L"]
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "30.0", (0, 1): "25.0", (1, 1): "20.0", (0, 2): "2.0", (2, 2): "0"}
    assert "Method: eta squared over 9 runs of a balanced grid" in plain(figure.get_supxlabel())
    check_texts(figure)


def test_shares_of_the_published_round(explore: pd.DataFrame) -> None:
    shares = statistics_of(explore).variance
    figure = interactions_figure(shares, "A finding")
    image = figure.axes[0].images[0].get_array()
    assert image is not None
    drawn = np.ma.filled(image.astype(float), np.nan)
    total = np.nansum([*shares.main.values(), *shares.interactions.values()])
    assert np.nansum(drawn) == pytest.approx(total)
    check_texts(figure)


def test_of_many_settings_the_most_involved_are_shown() -> None:
    names = [f"setting_{i}" for i in range(30)]
    shares = made_up_shares({name: i / 1000 for i, name in enumerate(names)}, {(names[0], names[1]): 0.4})
    figure = interactions_figure(shares, "A finding")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["setting 1", "setting 0", *(f"setting {i}" for i in range(29, 19, -1))]
    assert "The 18 settings that explain least are left out." in plain(figure.get_supxlabel())
    check_texts(figure)


def test_the_headline_is_computed() -> None:
    assert headlines.interactions(SHARES) == (
        "Cell alone explains 30% of the variance; learning rate and cell together explain a further 25%"
    )
    without = made_up_shares({"cell": 0.3, "learning_rate": 0.5}, {("cell", "learning_rate"): 0.001})
    assert headlines.interactions(without) == (
        "Learning rate alone explains 50% of the variance; no two settings explain more together than 1% beyond what "
        "each does alone"
    )
