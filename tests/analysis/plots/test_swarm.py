"""Every run by setting: no point outside its level, none that is not a run; numbers along an axis; paired effects."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.forest import forest_figure
from rnnlab.analysis.plots.swarm import swarm_figure
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.statistics.effects import Effects
from rnnlab.analysis.statistics.panels import panels_of
from tests.support.legibility import check_texts, plain
from tests.support.made_up_rounds import made_up_round, random_search
from tests.support.round_statistics import runs_of, statistics_of

LABEL = "lowest EMA of training loss (nats per byte)"


def swarms(ax: Axes) -> list[PathCollection]:
    """The swarm of each level of a panel."""
    return [child for child in ax.collections if isinstance(child, PathCollection) and child.get_gid() == "runs"]


def check_swarms(figure: Figure, frame: pd.DataFrame) -> None:
    """Every panel: its points inside their level and the axes, together as many as there are runs to show."""
    figure.draw_without_rendering()
    points_per_inch = 72
    for ax in figure.axes:
        box = ax.get_window_extent()
        radius_px = np.sqrt(swarms(ax)[0].get_sizes()[0]) / 2 / points_per_inch * figure.dpi
        left, right = ax.get_xlim()
        radius = radius_px / box.width * (right - left)
        n_points = 0
        for level, swarm in enumerate(swarms(ax)):
            x, y = np.asarray(swarm.get_offsets()).reshape(-1, 2).T
            n_points += len(x)
            assert (np.abs(x - level) + radius <= 0.5 + 1e-6).all()
            height_px = ax.transData.transform(np.column_stack([x, y]))[:, 1]
            assert (height_px - radius_px >= box.y0).all()
            assert (height_px + radius_px <= box.y1).all()
        counted = sum(int(text.get_text().split()[1]) for text in ax.texts if text.get_text().startswith("▲"))
        assert n_points + counted == len(frame)
    check_texts(figure)


@pytest.mark.parametrize("name", ["explore", "refine", "replicate"])
def test_swarms_of_the_published_rounds(name: str, request: pytest.FixtureRequest) -> None:
    frame = request.getfixturevalue(name)
    figure = swarm_figure(panels_of(runs_of(frame)), LABEL, "A finding", 1.9)
    assert len(figure.axes) == len(Rows(frame).factors)
    check_swarms(figure, frame)


def test_no_point_of_the_published_round_hides_another(explore: pd.DataFrame) -> None:
    figure = swarm_figure(panels_of(runs_of(explore)), LABEL, "A finding")
    for ax in figure.axes:
        for swarm in swarms(ax):
            pixels = ax.transData.transform(np.asarray(swarm.get_offsets()))
            diameter = np.sqrt(swarm.get_sizes()[0]) / 72 * figure.dpi
            ordered = pixels[np.argsort(pixels[:, 1])]
            for shift in range(1, 60):
                distances = np.linalg.norm(ordered[shift:] - ordered[:-shift], axis=1)
                assert (distances >= diameter * 0.999).all()


def test_swarms_of_the_runs_below_a_threshold_count_each_level(explore: pd.DataFrame) -> None:
    figure = swarm_figure(panels_of(runs_of(explore), below=1.9), LABEL, "A finding")
    check_swarms(figure, explore[explore["min_loss"] < 1.9])
    sizes = next(ax for ax in figure.axes if ax.get_title() == "state size S")
    labels = [label.get_text() for label in sizes.get_xticklabels()]
    assert labels[0].splitlines()[:2] == ["32", "0 of 144"]
    assert labels[1].splitlines()[:2] == ["256", "180 of 288"]


@pytest.mark.parametrize("n", [1, 10, 60, 5000])
def test_swarms_of_any_size(n: int) -> None:
    frame = results_frame(made_up_round(n).jobs)
    check_swarms(swarm_figure(panels_of(runs_of(frame)), LABEL, "A finding", 1.8), frame)


def test_swarms_with_outliers_and_diverged_runs_show_the_rest() -> None:
    frame = results_frame(made_up_round(60, diverged=4).jobs).assign(tokenizer_kind="characters")
    frame.loc[frame.index[-2:], "min_loss"] = [60.0, 9.0]
    figure = swarm_figure(panels_of(runs_of(frame)), LABEL, "A finding")
    assert figure.axes[0].get_ylim()[1] < 4
    assert "up to 60" in plain(figure.get_supxlabel())
    check_swarms(figure, frame)


def test_many_levels_and_long_names_do_not_overlap() -> None:
    frame = results_frame(made_up_round(120, long_names=True).jobs)
    check_swarms(swarm_figure(panels_of(runs_of(frame)), LABEL, "A finding"), frame)


def test_many_numbers_stand_along_an_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = results_frame(random_search(600))
    asked: list[int] = []
    palette = style.colors

    def note(n: int) -> list[Any]:
        asked.append(n)
        return palette(n)

    monkeypatch.setattr(style, "colors", note)
    figure = swarm_figure(panels_of(runs_of(frame)), LABEL, "A finding", 1.8)
    assert max(asked) == 2  # no color per value
    good = frame[~frame["diverged"]]
    for name, title, scale in (("learning_rate", "learning rate", "log"), ("momentum", "momentum", "linear")):
        ax = next(ax for ax in figure.axes if ax.get_title() == title)
        assert ax.get_xscale() == scale
        known = good[good[name].notna()]
        (points,) = swarms(ax)
        drawn: NDArray[np.float64] = np.ma.filled(np.ma.asarray(points.get_offsets()), np.nan)
        expected = known[[name, "min_loss"]].to_numpy(dtype=float)
        assert sorted(drawn[np.isfinite(drawn).all(axis=1)].tolist()) == sorted(expected.tolist())
        assert ax.get_xlabel() == f"n {len(known)}, mean {known['min_loss'].mean():.3f}"
        (line,) = [line for line in ax.lines if line.get_gid() == "median"]
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert (np.diff(x) >= 0).all()
        window = len(known) // 10
        middle = known.sort_values(name).iloc[200 : 200 + window][[name, "min_loss"]].astype(float).median()
        assert np.hypot(x - middle[name], y - middle["min_loss"]).min() < 1e-9
    check_texts(figure)


def test_levels_have_their_paired_effects(explore: pd.DataFrame) -> None:
    effects = statistics_of(explore).effects
    figure = swarm_figure(panels_of(runs_of(explore), effects=effects), LABEL, "A finding")
    ax = next(ax for ax in figure.axes if ax.get_title() == "old state")
    off, on = (label.get_text().splitlines() for label in ax.get_xticklabels())
    assert off == ["off", "n 144", "mean 1.924"]
    assert on == ["on", "n 288", "mean 2.166", "paired +0.002"]
    assert effects.table.set_index("factor").loc["use_old_state", "median"] == pytest.approx(0.002, abs=5e-4)
    assert "Levels may differ in other settings too" in plain(figure.get_supxlabel())
    check_swarms(figure, explore)


def test_losses_beyond_all_measure_stand_at_the_edge(explore: pd.DataFrame) -> None:
    frame = explore.copy()
    frame.loc[frame.index[:30:6], "min_loss"] = [1e120, 1e110, 1e120, 1e130, 1e149]
    table = statistics_of(frame).effects.table
    table.loc[table.index[0], ["mean", "median"]] = 1e149
    effects = Effects(table)
    figure = swarm_figure(panels_of(runs_of(frame), effects=effects), LABEL, "A finding", 1.9)
    assert figure.axes[0].get_ylim()[1] < 4
    check_swarms(figure, frame)
    figure = forest_figure({"all runs": effects}, "difference", "A finding")
    check_texts(figure)
