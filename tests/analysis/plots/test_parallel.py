"""Parallel coordinates: where each line crosses each axis."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnlab.analysis.plots.parallel import MOST_LINES, parallel_figure
from rnnlab.analysis.plots.parallel_axes import axis_of, thinned
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.statistics.best_tenth import best_tenth
from rnnlab.analysis.words import headlines
from tests.support.legibility import check_texts, plain
from tests.support.made_up_rounds import made_up_round
from tests.support.round_statistics import runs_of

SETTINGS = ["dropout", "use_skip", "state_size", "cell"]


def crossings(figure: Figure, name: str) -> NDArray[np.float64]:
    """(lines, axes): the heights of the lines, best first."""
    (bundle,) = [c for c in figure.axes[0].collections if isinstance(c, PathCollection) and c.get_gid() == name]
    return np.array([np.asarray(path.vertices)[::3, 1] for path in bundle.get_paths()])[::-1]


def test_lines_cross_each_axis_within_the_band_of_their_level() -> None:
    rows = runs_of(results_frame(made_up_round(240).jobs)).best_first
    axis, ranked = axis_of(rows, "state_size"), rows.frame
    assert [label for _, label in axis.ticks] == ["16", "32", "64"]
    for level, (middle, _) in zip([16, 32, 64], axis.ticks, strict=True):
        heights = axis.heights[(ranked["state_size"] == level).to_numpy()]
        assert (np.diff(heights) > 0).all()  # best at the bottom
        assert heights.mean() == pytest.approx(middle)
        assert (np.abs(heights - middle) < 1 / 6).all()


def test_a_level_with_half_the_runs_has_a_band_of_half_the_width() -> None:
    frame = pd.DataFrame({"depth": [1] * 200 + [2] * 100})
    heights = axis_of(Rows(frame), "depth").heights
    assert np.ptp(heights[:200]) == pytest.approx(2 * np.ptp(heights[200:]), rel=0.02)


def test_many_numbers_become_a_continuous_axis() -> None:
    rates = np.geomspace(1e-4, 1e-1, 61)
    axis = axis_of(Rows(pd.DataFrame({"lr": rates})), "lr")
    assert axis.heights == pytest.approx(np.linspace(0, 1, 61))
    assert [label for _, label in axis.ticks] == ["0.0001", "0.000562", "0.00316", "0.0178", "0.1"]


def test_every_run_is_a_line_that_ends_at_its_loss() -> None:
    frame = results_frame(made_up_round(120, diverged=7).jobs)
    figure = parallel_figure(runs_of(frame), SETTINGS, "loss", "A finding")
    lines = np.concatenate([crossings(figure, "best"), crossings(figure, "others")])
    losses = np.sort(frame.loc[~frame["diverged"], "min_loss"].to_numpy())
    assert len(lines) == 113
    assert len(crossings(figure, "best")) == 11
    assert lines[:, -1] == pytest.approx((losses - losses[0]) / np.ptp(losses))
    check_texts(figure)


def test_of_ten_thousand_runs_the_best_and_a_sample_are_drawn() -> None:
    figure = parallel_figure(runs_of(results_frame(made_up_round(10_000).jobs)), SETTINGS, "loss", "A finding")
    lines = np.concatenate([crossings(figure, "best"), crossings(figure, "others")])
    assert 0.9 * MOST_LINES < len(lines) <= MOST_LINES
    assert f"{len(lines)} of 10,000 runs are drawn" in plain(figure.get_supxlabel())
    kept = thinned(10_000, MOST_LINES)
    assert kept[: MOST_LINES // 10].tolist() == list(range(MOST_LINES // 10))
    assert kept[-1] == 9_999
    check_texts(figure)


def test_the_headline_counts_what_the_best_have(explore: pd.DataFrame) -> None:
    settings = ["state_size", "use_forget_gate", "use_input_gate", "use_new_state"]
    said = headlines.of_the_best(best_tenth(runs_of(explore), settings))
    best = explore.nsmallest(43, "min_loss")
    assert best["state_size"].eq(256).sum() == best["use_new_state"].sum() == 43
    forget = int(best["use_forget_gate"].sum())
    assert said.startswith("Of the best 43 of 432 runs, 43 have ")
    assert said.endswith(f", {forget} have forget gate on")
    shuffled = explore.assign(min_loss=np.random.default_rng(0).permutation(explore["min_loss"]))
    other = headlines.of_the_best(best_tenth(runs_of(shuffled), settings))
    assert other == "No setting stands out among the best 43 of 432 runs"
