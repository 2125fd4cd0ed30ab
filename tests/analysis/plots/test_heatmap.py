"""Heat maps of two numeric settings: every cell against pandas."""

import numpy as np
import pandas as pd
import pytest

from rnnlab.analysis.plots.heatmap import heatmap_figure
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.heatmap_cells import Choice, choose, heatmap_cells
from rnnlab.analysis.words import headlines
from tests.support.legibility import check_texts, plain
from tests.support.made_up_rounds import made_up_round
from tests.support.published_runs import make_job
from tests.support.round_statistics import runs_of, statistics_of

CHOICE = Choice("dropout", "state_size", "cell")


def test_cells_are_medians() -> None:
    frame = results_frame(made_up_round(600, diverged=9).jobs)
    good = frame[~frame["diverged"]]
    panels = heatmap_cells(runs_of(frame), CHOICE).grids
    assert [panel.level for panel in panels] == ["gru", "rnn"]
    for panel in panels:
        runs = good[good["cell"] == panel.level]
        medians = runs.pivot_table("min_loss", "state_size", "dropout", aggfunc="median")
        assert panel.medians == pytest.approx(medians.to_numpy())
        counts = runs.pivot_table("min_loss", "state_size", "dropout", aggfunc="count")
        assert panel.counts.tolist() == counts.to_numpy().tolist()
    assert sum(int(panel.lost.sum()) for panel in panels) == 9


def test_numbers_are_written_in_their_cells() -> None:
    frame = results_frame(made_up_round(600).jobs)
    cells = heatmap_cells(runs_of(frame), CHOICE)
    figure = heatmap_figure(cells, "loss", "A finding")
    for ax, panel in zip(figure.axes, cells.grids, strict=False):
        written = {text.get_position(): float(text.get_text()) for text in ax.texts}
        assert len(written) == panel.medians.size
        for (column, row), number in written.items():
            assert number == pytest.approx(panel.medians[int(row), int(column)], abs=5e-4)
        assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "0.1", "0.2", "0.3", "0.5"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["16", "32", "64"]
    framed = [patch for ax in figure.axes for patch in ax.patches if patch.get_gid() == "lowest"]
    assert [patch.get_clip_on() for patch in framed] == [False]  # the whole frame, at the edge of a panel too
    check_texts(figure)


def test_what_explains_most_is_chosen(explore: pd.DataFrame) -> None:
    frame = runs_of(results_frame(made_up_round(600).jobs))
    choice = choose(frame, {"cell": 0.4, "state_size": 0.3, "use_skip": 0.2, "dropout": 0.1, "n_layers": 0.0})
    assert choice == Choice("dropout", "state_size", "cell")
    assert choose(frame, {"state_size": 0.3, "n_layers": 0.1, "cell": 0.01}) == Choice("state_size", "n_layers", None)
    assert choose(frame, {"cell": 0.4, "state_size": 0.3}) is None
    assert choose(frame, {"cell": 0.4, "state_size": 0.0003, "n_layers": 0.0}) is None
    assert choose(runs_of(explore), statistics_of(explore).variance.main) == Choice(
        "n_layers", "state_size", "use_new_state"
    )


def test_empty_and_diverged_cells_say_so() -> None:
    jobs = [
        make_job(1, {"depth": 1, "width": 1}, {"min_loss": 1.0}),
        make_job(2, {"depth": 2, "width": 2}, {"min_loss": 2.0}),
        make_job(3, {"depth": 3, "width": 2}, {"min_loss": 2.0, "diverged_at_step": 4}),
    ]
    frame, choice = results_frame(jobs), Choice("depth", "width", None)
    figure = heatmap_figure(heatmap_cells(runs_of(frame), choice), "loss", "A finding")
    written = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert written == {(0, 0): "1.000", (1, 0): "–", (2, 0): "–", (0, 1): "–", (1, 1): "2.000", (2, 1): "div."}
    note = plain(figure.get_supxlabel())
    assert "Each cell is one run." in note and "1 run that diverged is not" in note and "–: no run." in note
    check_texts(figure)


@pytest.mark.parametrize("levels", [2, 12])
def test_large_grids_can_be_read(levels: int) -> None:
    model = [
        {"depth": i % 12, "width": 100 * (i // 12 % 12), "cell": f"cell {i // 144}"} for i in range(144 * levels // 3)
    ]
    frame = results_frame([make_job(i, one, {"min_loss": 1 + i / 1000}) for i, one in enumerate(model)])
    choice = Choice("depth", "width", "cell" if levels > 2 else None)
    check_texts(heatmap_figure(heatmap_cells(runs_of(frame), choice), "loss", "A finding"))


def test_the_headline_names_the_best_and_the_worst_cell() -> None:
    frame = results_frame(made_up_round(600).jobs)
    cells = heatmap_cells(runs_of(frame), CHOICE)
    medians = frame.groupby(["cell", "state_size", "dropout"])["min_loss"].median()
    for extreme, value in zip(medians.agg(["idxmin", "idxmax"]), (medians.min(), medians.max()), strict=True):
        cell, size, dropout = extreme
        said = f"{value:.3f} at S = {size}, dropout {dropout:g}, cell {cell}"
        assert said in headlines.lowest_cell(cells)
    assert np.isfinite(medians).all()
