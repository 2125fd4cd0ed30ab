"""The picture of seeds: every seed a dot, every configuration a row with the mean and the interval of its table."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnlab.analysis.plots.seeds import MOST_ROWS, seeds_figure
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.words.configuration_names import in_common, names_of
from tests.support.legibility import check_texts, plain
from tests.support.made_up_rounds import made_up_round
from tests.support.published_runs import make_job
from tests.support.round_statistics import statistics_of


def figure_of(frame: pd.DataFrame) -> Figure:
    """The picture of all configurations of a frame."""
    found = statistics_of(frame).replicates
    return seeds_figure(found, found.runs.all.factors, "loss", "A finding", "the rule")


def points(figure: Figure, name: str) -> list[NDArray[np.float64]]:
    """The clouds of that name, by row."""
    clouds = [c for c in figure.axes[1].collections if isinstance(c, PathCollection) and c.get_gid() == name]
    return [np.asarray(cloud.get_offsets()).reshape(-1, 2) for cloud in clouds]


def test_rows_of_the_published_round(replicate: pd.DataFrame) -> None:
    found = statistics_of(replicate).replicates
    table = found.table
    figure = figure_of(replicate)
    (means,) = points(figure, "mean")
    assert means[:, 0] == pytest.approx(table["mean"])
    (bars,) = [c for c in figure.axes[1].collections if isinstance(c, LineCollection) and c.get_gid() == "interval"]
    ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
    assert np.array(ends) == pytest.approx(table[["low", "high"]].to_numpy())
    for recipe, dots in zip(table["recipe"], points(figure, "seeds"), strict=True):
        assert sorted(dots[:, 0]) == sorted(replicate.loc[replicate["recipe"] == recipe, "min_loss"])
    colors = [to_hex(color) for color in np.asarray(bars.get_colors())]
    members = len(found.members)
    assert len(set(colors[:members])) == 1  # those that may be the best
    assert colors[0] not in colors[members:]
    check_texts(figure)


def test_an_interval_is_in_view_or_ends_in_an_arrow() -> None:
    random = np.random.default_rng(0)
    losses = {f"cell-{i}": 1.5 + 0.05 * i + 0.01 * random.standard_normal(3) for i in range(8)}
    losses["wild"] = np.array([1.6, 1.9])  # by t with one degree of freedom: 1.75 -+ 1.9
    losses["outlier"] = np.array([1.9, 1.91, 50.0])  # characters: how many there are, and so a guess, is unknown
    rows = [(cell, seed, loss) for cell, found in losses.items() for seed, loss in enumerate(found)]
    frame = results_frame([make_job(i, {"cell": c}, {"min_loss": loss}, seed=n) for i, (c, n, loss) in enumerate(rows)])
    frame = frame.assign(tokenizer_kind="characters")
    figure, table = figure_of(frame), statistics_of(frame).replicates.table
    left, right = figure.axes[1].get_xlim()
    (arrows_left,), (arrows_right,) = points(figure, "left"), points(figure, "right")
    expected = np.flatnonzero(table["cell"].isin(["wild", "outlier"])).tolist()
    assert arrows_left[:, 1].tolist() == np.flatnonzero(table["low"] < left).tolist() == expected
    assert arrows_right[:, 1].tolist() == np.flatnonzero(table["high"] > right).tolist() == expected
    note = plain(figure.get_supxlabel())
    assert "An arrow: the interval continues." in note and "(up to 50)" in note
    check_texts(figure)


def test_names_are_broken_at_spaces_only_and_cut_at_the_end() -> None:
    names = ["sampling non-overlapping", "start-state-carried-over-from-window-to-window-and-epoch-to-epoch", "x" * 200]
    jobs = [
        make_job(i, {"cell": names[i % 3], "mode": f"stride-one-and-a-half {i % 3}"}, {"min_loss": float(i)}, seed=i)
        for i in range(6)
    ]
    figure = figure_of(results_frame(jobs))
    labels = [label.get_text().replace("\N{NO-BREAK SPACE}", " ") for label in figure.axes[1].get_yticklabels()]
    assert labels[0] == "cell sampling non-overlapping, mode\nstride-one-and-a-half 0  (n 2)"
    assert "- " not in plain("".join(labels))
    assert labels[2].endswith("…  (n 2)") and labels[2].count("\n") == 2
    check_texts(figure)


def test_of_many_configurations_the_best_are_shown() -> None:
    frame = results_frame(made_up_round(10_000).jobs)
    figure = figure_of(frame)
    assert len(points(figure, "seeds")) == MOST_ROWS
    assert f"The best {MOST_ROWS} of 120 configurations" in plain(figure.get_supxlabel())
    check_texts(figure)


def test_without_noise_it_is_unknown_what_may_be_the_best() -> None:
    figure = figure_of(results_frame(made_up_round(10).jobs))
    legend = figure.axes[0].get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["unknown: too few seeds, or a seed diverged", "a seed", "mean, 95 % interval"]
    check_texts(figure)


def test_rows_are_named_by_what_tells_them_apart() -> None:
    frame = pd.DataFrame(
        {"use_skip": [True, True], "use_norm": [False, True], "depth": [3, 3], "learning_rate": [0.1, 0.2]}
    )
    rows = Rows(frame)
    settings = ["use_skip", "use_norm", "depth", "learning_rate"]
    assert names_of(rows, settings) == ["no use norm, learning rate 0.1", "use norm, learning rate 0.2"]
    assert in_common(rows, settings) == "use skip on, depth 3"
    assert names_of(Rows(frame.head(1)), settings) == ["use skip, depth 3, learning rate 0.1"]
