"""Loss against cost: the Pareto front against a brute-force one, and the number of parameters against the models."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnlab.analysis.plots.tradeoff import Cost, tradeoff_figure, worth_naming
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.cost_points import CostPoints, cost_points
from rnnlab.analysis.statistics.parameters import gated_parameters, parameters_of
from rnnlab.analysis.words import headlines
from rnnlab.models.factory import count_parameters
from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.spec.pareto import pareto_front
from tests.support.legibility import check_texts, plain
from tests.support.made_up_rounds import made_up_round
from tests.support.published_runs import SWITCHES, make_job
from tests.support.round_statistics import runs_of, statistics_of

COST = Cost("trainable parameters", "parameters")


def offsets(figure: Figure, name: str) -> NDArray[np.float64]:
    """The points of that name."""
    (dots,) = [c for c in figure.axes[0].collections if isinstance(c, PathCollection) and c.get_gid() == name]
    return np.asarray(dots.get_offsets()).reshape(-1, 2)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    costs, losses = np.array(points, dtype=float).T
    beaten = {i for i, (c, v) in enumerate(points) if any((a <= c and b <= v) and (a < c or b < v) for a, b in points)}
    found = pareto_front(zip(costs.tolist(), losses.tolist(), strict=True))
    assert sorted(found) == sorted(set(range(len(points))) - beaten)
    assert (np.diff(costs[found]) >= 0).all()


def test_a_configuration_of_which_a_seed_diverged_is_not_on_the_front() -> None:
    losses: dict[int, list[float | None]] = {1: [1.0, 1.2], 2: [0.1, None], 3: [0.9, 1.0]}
    jobs = [
        make_job(10 * layers + seed, {"n_layers": layers}, {"min_loss": x}, seed=seed)
        for layers, xs in losses.items()
        for seed, x in enumerate(xs)
    ]
    frame = results_frame(jobs)
    points = cost_points(runs_of(frame), frame["seconds"]).table
    assert points["n_layers"].tolist() == [1, 3]
    assert points["loss"].tolist() == [1.1, 0.95]


def test_names_go_to_the_ends_and_to_large_falls() -> None:
    losses = np.array([9.0, 8.9, 5.0, 4.9, 4.8, 1.0])
    apart = np.column_stack([np.arange(6) * 10.0, np.zeros(6)])
    assert worth_naming(losses, apart, 5.0, 3) == [0, 2, 5]
    assert worth_naming(losses, apart, 15.0, 6) == [0, 2, 5]  # their neighbours would be too near
    assert worth_naming(np.array([1.0]), apart[:1], 5.0, 3) == [0]


def test_points_are_means_over_seeds() -> None:
    jobs = [
        make_job(i, {"cell": "gru", "state_size": 8 + i % 2}, {"min_loss": i / 2}, seed=i, seconds=10.0 * i)
        for i in range(1, 7)
    ]
    frame = results_frame(jobs)
    points = cost_points(runs_of(frame), frame["seconds"]).table
    assert points[["loss", "cost"]].to_numpy().tolist() == [[1.5, 30.0], [2.0, 40.0]]
    none = cost_points(runs_of(frame), pd.Series(np.nan, index=range(6)))
    assert len(none) == 0


def test_the_published_round_against_parameters(explore: pd.DataFrame) -> None:
    found = statistics_of(explore)
    points = found.parameter_points.table
    figure = tradeoff_figure(found.parameter_points, "min_loss", found.variance.main, "loss", COST, "A finding")
    drawn = offsets(figure, "configurations")
    assert sorted(map(tuple, drawn.tolist())) == sorted(zip(points["cost"], points["loss"], strict=True))
    kept = offsets(figure, "front")
    table = points[["cost", "loss"]].to_numpy()
    for cost, loss in table:
        dominates = (table[:, 0] <= cost) & (table[:, 1] <= loss) & ((table[:, 0] < cost) | (table[:, 1] < loss))
        assert ([cost, loss] in kept.tolist()) == (not dominates.any())
    note = " ".join(plain(figure.get_supxlabel()).split())
    assert "all with new state on:" in note
    assert "6 1.5928 with 1,444,352 parameters: forget + state gate, residual, L = 2, S = 256" in note
    check_texts(figure)


def test_ten_thousand_points_can_be_read() -> None:
    frame = results_frame(made_up_round(10_000).jobs)
    frame = frame.assign(recipe=[str(i) for i in range(len(frame))], seconds=np.linspace(3, 3000, len(frame)))
    found, cost = statistics_of(frame), Cost("seconds", "seconds")
    figure = tradeoff_figure(found.time_points, "min_loss", found.variance.main, "loss", cost, "A finding")
    assert len(offsets(figure, "configurations")) + len(offsets(figure, "above")) == 10_000
    check_texts(figure)


def test_the_headline_says_what_nearly_the_best_costs() -> None:
    points = pd.DataFrame({"cost": [100.0, 400.0, 1000.0], "loss": [2.0, 1.005, 1.0]})
    assert headlines.saving(CostPoints(points, 3), "parameters") == (
        "The best configuration, 1.0000, takes 1,000 parameters; 1.0050, within 1% of it, takes 60% less (400)"
    )
    far = points.assign(loss=[2.0, 1.5, 1.0])
    assert headlines.saving(CostPoints(far, 3), "seconds").endswith(
        "; none that takes clearly less comes within 1% of it"
    )
    hardly = points.assign(cost=[100.0, 999.0, 1000.0])
    assert headlines.saving(CostPoints(hardly, 3), "seconds").endswith(
        "; none that takes clearly less comes within 1% of it"
    )
    smallest = points.assign(loss=[0.5, 1.5, 1.0])
    assert (
        headlines.saving(CostPoints(smallest, 3), "seconds")
        == "The best configuration, 0.5000, takes 100 seconds, and none takes less"
    )


def test_the_headline_says_how_many_costs_are_known() -> None:
    points = pd.DataFrame({"cost": [100.0, 400.0], "loss": [2.0, 1.5]})
    said = headlines.saving(CostPoints(points, 3), "seconds")
    assert said.startswith("The best of the 2 of 3 configurations with known seconds, 1.5000, takes 400 seconds")


def test_the_front_keeps_the_colors_and_triangles_over_each_other_are_counted() -> None:
    frame = results_frame(made_up_round(60).jobs)
    points = cost_points(runs_of(frame), frame["id"].astype(float)).table
    points.loc[:3, "cost"] = [10.0, 10.0, 10.0, 50.0]
    points.loc[:3, "loss"] = 90.0
    shares, cost = statistics_of(frame).variance.main, Cost("ids", "ids", "A remark.")
    figure = tradeoff_figure(CostPoints(points, len(points)), "min_loss", shares, "loss", cost, "A")
    (ax,) = figure.axes
    dots, front = (next(c for c in ax.collections if c.get_gid() == name) for name in ("configurations", "front"))
    color_at = {
        tuple(place): tuple(color[:3])
        for place, color in zip(np.asarray(dots.get_offsets()).tolist(), np.asarray(dots.get_facecolor()), strict=True)
    }
    on_front = zip(np.asarray(front.get_offsets()).tolist(), np.asarray(front.get_facecolor()), strict=True)
    assert all(color_at[tuple(place)] == tuple(color[:3]) for place, color in on_front)
    assert [text.get_text() for text in ax.texts if text.get_gid() == "count"] == ["3"]
    assert "A remark." in plain(figure.get_supxlabel())
    check_texts(figure)


def test_parameters_equal_those_of_the_models() -> None:
    for n_layers, state_size, vocabulary in ((1, 32, 256), (3, 8, 65)):
        for mask in range(2 ** len(SWITCHES)):
            switches = {name: bool(mask >> place & 1) for place, name in enumerate(SWITCHES)}
            if not (switches["use_new_state"] or switches["use_old_state"] or switches["use_residual"]):
                continue
            settings = GatedSettings.model_validate({"n_layers": n_layers, "state_size": state_size, **switches})
            assert gated_parameters(settings, vocabulary) == count_parameters(settings, vocabulary)


def test_parameters_are_measured_or_computed_or_unknown() -> None:
    gated = {"cell": "gated", "n_layers": 1, "state_size": 8}
    jobs = [
        make_job(1, gated, {"min_loss": 1.0, "parameters": 7}),
        make_job(2, gated, {"min_loss": 1.0}),
        make_job(3, {"cell": "gru-reset-before", "state_size": 8}, {"min_loss": 1.0}),
    ]
    measured, computed, unknown = parameters_of(runs_of(results_frame(jobs)))
    assert (measured, computed) == (7, count_parameters(GatedSettings(n_layers=1, state_size=8), 256))
    assert np.isnan(unknown)
    assert parameters_of(runs_of(results_frame(jobs[2:]))).isna().all()
