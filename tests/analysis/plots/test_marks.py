"""In the SVG every mark of a run says whose it is: where it lies is compared with what the run has reached."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rnnlab.analysis.html.inline_svg import inlined
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.curves import curves_figure
from rnnlab.analysis.plots.parallel import parallel_figure
from rnnlab.analysis.plots.ranks import rank_figure
from rnnlab.analysis.plots.seeds import seeds_figure
from rnnlab.analysis.plots.swarm import swarm_figure
from rnnlab.analysis.plots.tradeoff import Cost, tradeoff_figure
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.cost_points import cost_points
from rnnlab.analysis.statistics.curve_lines import lines_of
from rnnlab.analysis.statistics.panels import panels_of
from tests.support.made_up_rounds import made_up_round
from tests.support.round_statistics import runs_of, statistics_of

N = 60
MADE_UP = made_up_round(N, points=10)
TWO_SEEDS = made_up_round(240)  # of 120 configurations
_MARK = re.compile(r'<(?:use|path) [^>]*data-job="(\d+)"[^>]*>')
_NUMBER = r"(-?[\d.]+)"


def marks(figure: Figure) -> pd.DataFrame:
    """Job, x and y of each mark as the page has it; of a line its last point."""
    text = inlined(style.png_and_svg(figure, "name")[1], "p-", "a picture")
    assert "<a " not in text  # a link would lead nowhere
    found = []
    for mark in _MARK.finditer(text):
        point = re.search(rf' x="{_NUMBER}" y="{_NUMBER}"', mark[0]) or re.search(rf'{_NUMBER} {_NUMBER}"', mark[0])
        assert point is not None, mark[0]
        found.append((int(mark[1]), float(point[1]), float(point[2])))
    return pd.DataFrame(found, columns=["id", "x", "y"])


def one_panel(frame: pd.DataFrame) -> Figure:
    panels = panels_of(runs_of(frame))
    return swarm_figure(replace(panels, panels=panels.panels[:1]), "loss", "A finding")


def ranks(frame: pd.DataFrame) -> Figure:
    return rank_figure(runs_of(frame), statistics_of(frame).variance.main, "loss", "A finding")


def tradeoff(frame: pd.DataFrame) -> Figure:
    costs = pd.Series(np.linspace(1, 2, len(frame)), index=frame.index)
    points = cost_points(runs_of(frame), costs)
    shares = statistics_of(frame).variance.main
    return tradeoff_figure(points, "min_loss", shares, "loss", Cost("cost", "units"), "A finding")


def parallel(frame: pd.DataFrame) -> Figure:
    return parallel_figure(runs_of(frame), runs_of(frame).all.factors[:3], "loss", "A finding")


@pytest.mark.parametrize("draw", [one_panel, ranks, tradeoff, parallel])
def test_a_mark_lies_where_the_loss_of_its_run_puts_it(draw: Callable[[pd.DataFrame], Figure]) -> None:
    frame = results_frame(MADE_UP.jobs)
    frame["id"] = frame["id"].to_numpy()[::-1] + 100  # not in the order of the rows
    found = marks(draw(frame))
    assert set(found["id"]) == set(frame["id"])
    assert len(found) < 1.5 * N  # once, and the best ones by a mark of their own
    losses = frame.set_index("id").loc[found["id"], "min_loss"]
    assert np.corrcoef(losses, found["y"])[0, 1] < -0.999


def test_a_curve_ends_where_that_of_its_run_does() -> None:
    frame = results_frame(MADE_UP.jobs)
    lines = lines_of(MADE_UP.curves, frame["id"].tolist(), "ema_loss")
    found = marks(curves_figure(runs_of(frame), lines, statistics_of(frame).variance.main, "loss", "A finding"))
    assert sorted(found["id"]) == sorted(frame["id"])
    last = [MADE_UP.curves[job_id].series["ema_loss"][-1] for job_id in found["id"]]
    assert np.corrcoef(last, found["y"])[0, 1] < -0.999


def test_a_seed_lies_where_its_loss_puts_it() -> None:
    frame = results_frame(TWO_SEEDS.jobs)
    table = statistics_of(frame).replicates
    found = marks(seeds_figure(table, table.runs.all.factors, "loss", "A finding", "the rule"))
    shown = frame[frame["recipe"].isin(table.table["recipe"].head(20))]
    assert sorted(found["id"]) == sorted(shown["id"])
    assert np.corrcoef(frame.set_index("id").loc[found["id"], "min_loss"], found["x"])[0, 1] > 0.999


def test_marks_that_became_an_image_have_no_names() -> None:
    frame = results_frame(made_up_round(5_000).jobs)
    best = frame.set_index("id")["min_loss"].idxmin()
    assert set(marks(one_panel(frame))["id"]) == {best}  # its star is a shape
