"""Two experiments side by side, against plain loops over made-up runs."""

import itertools
import math
import random
import statistics
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnlab.analysis.plots.agreement import agreement_figure
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.comparison import Comparison, Verdict, compare
from rnnlab.analysis.words.comparison_text import comparison_text, finding
from rnnlab.errors import UsageError
from rnnlab.queue.job import Job
from tests.support.legibility import check_texts, plain
from tests.support.published_runs import make_job
from tests.support.round_statistics import runs_of

Config = tuple[int, int, bool]  # layers, state size, forget gate
GRID = list(itertools.product([1, 2, 3], [8, 16, 32], [False, True]))
NAMES = ("mine", "theirs")


def frame_of(
    losses: Iterable[tuple[Config, float]], training: dict[str, Any] | None = None, seeds: int = 1
) -> pd.DataFrame:
    """Finished runs; a loss of inf: diverged. Seeds spread around the loss."""
    jobs: list[Job] = []
    for (n_layers, state_size, forget), loss in losses:
        model = {"cell": "gated", "n_layers": n_layers, "state_size": state_size, "use_forget_gate": forget}
        for seed in range(seeds):
            value = loss + 0.1 * (seed - (seeds - 1) / 2)
            result = {"min_loss": None, "diverged_at_step": 7} if math.isinf(loss) else {"min_loss": value}
            jobs.append(make_job(len(jobs) + 1, model, result, seed=seed, training=training))
    return results_frame(jobs)


def compared(here: pd.DataFrame, there: pd.DataFrame) -> Comparison:
    return compare(runs_of(here), runs_of(there))


def made_up(seed: int, effect: Callable[[Config], float]) -> list[tuple[Config, float]]:
    noise = random.Random(seed)
    return [(config, effect(config) + noise.gauss(0, 0.02)) for config in GRID]


def mine(config: Config) -> float:
    return 3.0 - 0.2 * config[0] - 0.01 * config[1] - 0.3 * config[2]


def test_an_experiment_agrees_with_itself() -> None:
    frame = frame_of(made_up(0, mine))
    found = compared(frame, frame)
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.best_tenths == (1, 1)
    assert found.counts == (18, 18) and found.diverged == 0 and not found.differing
    assert set(found.verdicts) == {Verdict.SAME}
    assert found.place_of_best("here", "there") == 1


def test_numbers_against_plain_loops() -> None:
    """The gate helps here and hurts there; the order of the rest is the same."""
    here, there = made_up(1, mine), made_up(2, lambda config: mine(config) + 0.5 * config[2])
    found = compared(frame_of(here), frame_of(reversed(there), training={"batch_size": 64}, seeds=3))

    losses, others = [dict(runs) for runs in (here, there)]
    places = [[sorted(values.values()).index(values[config]) for config in GRID] for values in (losses, others)]
    assert found.rank_correlation == pytest.approx(statistics.correlation(*places))
    for row in found.configurations.to_dict("records"):
        config = row["n_layers"], row["state_size"], row["use_forget_gate"]
        assert (row["here"], row["there"]) == pytest.approx((losses[config], others[config]))
    best = min(losses, key=lambda config: losses[config])
    assert found.place_of_best("here", "there") == 1 + sorted(others.values()).index(others[best])
    assert found.differing == {"batch_size": (256, 64)}

    verdicts = dict(zip(found.effects_table()["factor"], found.verdicts, strict=True))
    assert verdicts["use_forget_gate"] is Verdict.OPPOSITE
    assert verdicts["n_layers"] is Verdict.SAME
    gate = next(pair for pair in found.effects if pair[0]["factor"] == "use_forget_gate")
    for side, values in zip(gate, (losses, others), strict=True):
        differences = [values[n, s, True] - values[n, s, False] for n, s, gate_on in GRID if gate_on]
        assert side["median"] == pytest.approx(np.median(differences))
        assert side["better"] == sum(difference < 0 for difference in differences)


def test_an_effect_of_noise_is_clear_in_one_or_neither() -> None:
    flat, gate = made_up(3, lambda _config: 2.0), made_up(4, lambda config: 2.0 - config[2])
    verdicts = compared(frame_of(flat), frame_of(gate))
    found = dict(zip(verdicts.effects_table()["factor"], verdicts.verdicts, strict=True))
    assert found["use_forget_gate"] is Verdict.THERE_ONLY
    assert compared(frame_of(gate), frame_of(flat)).verdicts.count(Verdict.HERE_ONLY) == 1
    assert found["n_layers"] is Verdict.NEITHER


def test_only_what_ran_in_both_is_compared() -> None:
    """There: one size only, as another kind of number; two runs diverged, one here and one there."""
    here = frame_of([(config, math.inf if config == (1, 8, True) else loss) for config, loss in made_up(5, mine)])
    some = [(config, loss) for config, loss in made_up(6, mine) if config[1] == 8]
    there = frame_of([(config, math.inf if config == (2, 8, False) else loss) for config, loss in some])
    there["state_size"] = there["state_size"].astype(float)
    found = compared(here, there)
    assert (len(found.configurations), found.diverged, found.counts) == (4, 2, (18, 6))
    assert set(found.configurations["state_size"]) == {8}
    assert "state_size" not in found.effects_table()["factor"].tolist()
    assert not found.differing  # it varies here
    gate = next(row for row, _ in found.effects if row["factor"] == "use_forget_gate")
    assert (gate["pairs"], gate["better"]) == (1, 1)  # with three layers: the others lack one of the two


def test_a_seed_that_diverged_takes_its_configuration_out() -> None:
    here, there = frame_of(made_up(7, mine), seeds=2), frame_of(made_up(8, mine))
    here.loc[0, "diverged"] = True
    found = compared(here, there)
    assert (len(found.configurations), found.diverged) == (17, 1)


@pytest.mark.parametrize("n", [0, 2])
def test_too_few_in_common(n: int) -> None:
    here = frame_of(made_up(9, mine))
    there = frame_of([((layers, 64 if place >= n else 8, True), 2.0) for place, layers in enumerate([1, 2, 3])])
    with pytest.raises(
        UsageError, match=rf"too few configurations can be compared \({n}; at least 3 are needed\): {n} have finished"
    ):
        compared(here, there)


def test_equal_losses_have_no_correlation() -> None:
    flat = frame_of([(config, 2.0) for config in GRID])
    found = compared(flat, frame_of(made_up(10, mine)))
    assert math.isnan(found.rank_correlation)
    assert finding(found).startswith(
        "18 configurations, whose losses are all equal in one of the two; no effect is clear in"
    )


def test_the_page_says_what_was_found() -> None:
    there = made_up(2, lambda config: mine(config) + 0.5 * config[2])
    found = compared(frame_of(made_up(1, mine)), frame_of(there, training={"learning_rate": 0.01}))
    text = comparison_text(found, NAMES, "explore", ["PICTURE"], ["a.csv"])
    assert text.startswith("# mine compared with theirs: round explore\n")
    assert f"\n{finding(found)}.\n" in text
    assert "- 18 configurations are compared, out of 18 of mine and 18 of theirs.\n" in text
    assert "| learning rate | 0.001 | 0.01 |" in text
    opposite = next(line for line in text.splitlines() if line.startswith("- Opposite"))
    assert opposite.startswith("- Opposite: forget gate on against off has a mean difference of -0.294")
    row = next(line for line in text.splitlines() if line.startswith("| forget gate"))
    assert row.startswith("| forget gate | off | on | 9 of 9 | -0.294") and row.endswith("| opposite |")
    assert "PICTURE" in text and "[a.csv](a.csv)" in text


def points(figure: Figure, name: str) -> np.ndarray[Any, Any]:
    (found,) = [one for one in figure.axes[0].collections if one.get_gid() == name]
    assert isinstance(found, PathCollection)
    return np.asarray(found.get_offsets())


def draw(comparison: Comparison) -> Figure:
    return agreement_figure(comparison, {"use_forget_gate": 0.6}, NAMES, "loss (nats per byte)", finding(comparison))


def test_the_picture_shows_each_configuration() -> None:
    found = compared(frame_of(made_up(1, mine)), frame_of(made_up(2, mine)))
    figure = draw(found)
    assert points(figure, "configurations") == pytest.approx(found.configurations[["there", "here"]].to_numpy())
    assert not len(points(figure, "beyond"))
    (equal,) = [line for line in figure.axes[0].lines if isinstance(line, Line2D)]
    assert np.asarray(equal.get_xdata()) == pytest.approx(np.asarray(equal.get_ydata()))
    assert plain(figure.get_suptitle()) == finding(found)
    check_texts(figure)


def test_what_lies_far_off_stands_at_the_edge() -> None:
    there = [(config, 5.0 if config == (1, 8, False) else loss - 40) for config, loss in made_up(2, mine)]
    figure = draw(compared(frame_of(made_up(1, mine)), frame_of(there)))
    assert len(points(figure, "configurations")) == 17
    (edge,) = points(figure, "beyond")
    assert edge[0] < -30
    assert plain(figure.get_supxlabel()).startswith("▲ 1 lie beyond an edge (up to 2.")
    assert not figure.axes[0].lines  # losses are nowhere equal
    check_texts(figure)
