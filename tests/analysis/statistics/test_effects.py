"""Paired effects against the published figures, plain loops and made-up grids whose truth is known."""

import itertools
from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.statistics.branches import Branch
from rnnlab.analysis.statistics.effects import Effect, Effects, is_clear
from rnnlab.analysis.words import sentences
from rnnlab.errors import UsageError
from rnnlab.queue.job import Job
from tests.support.published_runs import SWITCHES, make_job, published_csv
from tests.support.round_statistics import runs_of, statistics_of

FOCUS = {"state_size": 256, "use_new_state": True, "use_residual": True}


def paired_effects(frame: pd.DataFrame, where: dict[str, Any] | None = None) -> pd.DataFrame:
    """The table of paired effects, of all runs or of those with these settings."""
    return statistics_of(frame, focus=where or {}).focused_effects.table


def one(effects: pd.DataFrame, factor: str, level: Any = True) -> dict[Any, Any]:
    """The row of one effect."""
    rows: list[dict[Any, Any]] = effects[(effects["factor"] == factor) & (effects["level"] == level)].to_dict("records")
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize(
    ("gate", "difference", "better"),
    [("forget", -0.071, 47), ("state", -0.023, 35), ("input", 0.003, 20), ("output", 0.040, 7)],
)
def test_published_paired_effects(explore: pd.DataFrame, gate: str, difference: float, better: int) -> None:
    row = one(paired_effects(explore, where=FOCUS), f"use_{gate}_gate")
    assert (row["pairs"], round(row["median"], 3), row["better"]) == (48, difference, better)


@pytest.mark.parametrize(("number", "name"), [(1, "explore"), (2, "refine")])
def test_against_all_pairs_of_runs(number: int, name: str, request: pytest.FixtureRequest) -> None:
    effects = paired_effects(request.getfixturevalue(name))
    names = [*SWITCHES, "n_layers", "state_size"]
    runs: dict[tuple[int, ...], list[float]] = {}
    for run in published_csv(number).to_dict("records"):
        runs.setdefault(tuple(int(run[name]) for name in names), []).append(run["min_loss"])
    losses = {config: sum(values) / len(values) for config, values in runs.items()}
    lowest = [min(config[place] for config in losses) for place in range(len(names))]

    differences: dict[tuple[str, int], list[float]] = {}
    for a, b in combinations(sorted(losses), 2):
        places = [place for place in range(len(names)) if a[place] != b[place]]
        if len(places) == 1 and a[places[0]] == lowest[places[0]]:  # sorted: b is at the higher level
            differences.setdefault((names[places[0]], b[places[0]]), []).append(losses[b] - losses[a])

    with_pairs = effects[effects["pairs"] > 0].to_dict("records")
    assert {(row["factor"], int(row["level"])) for row in with_pairs} == set(differences)
    for (factor, level), found in differences.items():
        row = one(effects, factor, level)
        assert row["pairs"] == len(found)
        assert row["better"] == sum(d < 0 for d in found)
        assert row["worse"] == sum(d > 0 for d in found)
        assert row["median"] == pytest.approx(median(found))
        assert [row["q25"], row["q75"]] == pytest.approx(np.percentile(found, [25, 75]).tolist())


def test_seeds_are_averaged_before_pairing() -> None:
    losses = {(False, 0): 2.0, (False, 1): 3.0, (True, 0): 1.0, (True, 1): 3.5}
    jobs = [make_job(i, {"gate": on}, {"min_loss": x}, seed=s) for i, ((on, s), x) in enumerate(losses.items())]
    row = one(paired_effects(results_frame(jobs)), "gate")
    assert (row["pairs"], row["median"]) == (1, pytest.approx(2.25 - 2.5))


def test_pairs_with_a_diverged_run_are_counted_apart() -> None:
    jobs: list[Job] = []
    for layers, diverged in enumerate([(False, False), (False, True), (True, False), (True, True)], start=1):
        for on in (False, True):
            result = {"min_loss": 1.0 - 0.5 * on, "diverged_at_step": 7 if diverged[on] else None}
            jobs.append(make_job(len(jobs), {"gate": on, "n_layers": layers}, result))
    row = one(paired_effects(results_frame(jobs)), "gate")
    assert (row["pairs"], row["better"], row["median"]) == (1, 1, -0.5)
    assert (row["only_level_diverged"], row["only_reference_diverged"]) == (1, 1)


def test_a_setting_that_half_of_the_jobs_lack_is_a_level() -> None:
    jobs = [make_job(1, {"size": 1}, {"min_loss": 2.0}), make_job(2, {"size": 1, "clip": 1.0}, {"min_loss": 1.0})]
    row = one(paired_effects(results_frame(jobs)), "clip", 1.0)
    assert (row["reference"], row["pairs"], row["median"]) == (None, 1, -1.0)


def test_cells_with_settings_of_their_own_are_compared() -> None:
    """As long as those do not vary: else there is no telling which of them to compare."""
    own = {"rnn": {"linear": "joint"}, "gru": {"update_gate": "keeps"}}
    jobs = [
        make_job(i + 1, {"cell": cell, "size": size, **own[cell]}, {"min_loss": float(size + (cell == "gru"))})
        for i, (cell, size) in enumerate([("rnn", 1), ("rnn", 2), ("gru", 1), ("gru", 2)])
    ]
    effects = paired_effects(results_frame(jobs))
    assert set(effects["factor"]) == {"cell", "size"}
    row = one(effects, "cell", "rnn")
    assert (row["reference"], row["pairs"], row["better"], row["median"]) == ("gru", 2, 2, -1.0)
    jobs.append(make_job(5, {"cell": "rnn", "size": 2, "linear": "split"}, {"min_loss": 0.0}))
    assert "linear" in set(paired_effects(results_frame(jobs))["factor"])


def test_a_setting_that_an_adjustment_takes_from_the_cell_is_no_factor() -> None:
    """As `linear` in the study of gates: joint for some cells and one kind of initial weights."""
    jobs: list[Job] = []
    for cell, init, size in itertools.product(["gru", "lstm", "rnn"], ["normal", "uniform"], [1, 2, 4, 8]):
        linear = {} if cell == "gru" else {"linear": "joint" if init == "normal" else "split"}
        setting = {"cell": cell, "weight_init": init, "size": size, **linear}
        loss = size / 4 + ["gru", "lstm", "rnn"].index(cell) + 0.5 * (init == "normal")
        jobs.append(make_job(len(jobs) + 1, setting, {"min_loss": loss}))
    effects = paired_effects(results_frame(jobs))
    assert set(effects["factor"]) == {"cell", "weight_init", "size"}
    cell_row, init_row = one(effects, "cell", "rnn"), one(effects, "weight_init", "uniform")
    assert (cell_row["pairs"], cell_row["worse"], cell_row["median"]) == (8, 8, 2.0)
    assert (init_row["pairs"], init_row["better"], init_row["median"]) == (12, 12, -0.5)


def test_seeds_do_not_make_a_setting_follow_from_the_cell() -> None:
    """Five configurations say little about what follows from what, however often each was repeated."""
    picked = [("gru", 1, 4.0), ("gru", 2, 2.0), ("rnn", 1, 1.0), ("lstm", 1, 4.0), ("lstm", 1, 2.0)]
    jobs = [
        make_job(10 * i + seed, {"cell": cell, "n_layers": layers, "rate": rate}, {"min_loss": 1.0}, seed=seed)
        for i, (cell, layers, rate) in enumerate(picked)
        for seed in range(6)
    ]
    assert Rows(results_frame(jobs)).factors == ["cell", "n_layers", "rate"]


@pytest.mark.parametrize("sizes", [1, 2, 3, 4, 5])
def test_a_setting_follows_from_the_cell_and_another_only_in_groups_of_four(sizes: int) -> None:
    """`linear` is set by cell and initial weights; with fewer configurations for each pair that may be by chance."""
    jobs: list[Job] = []
    for cell, init, size in itertools.product(["lstm", "rnn"], ["normal", "uniform"], range(sizes)):
        linear = "joint" if (cell == "rnn") == (init == "normal") else "split"
        setting = {"cell": cell, "weight_init": init, "linear": linear, "size": size}
        jobs.append(make_job(len(jobs) + 1, setting, {"min_loss": 1.0}))
    assert ("linear" in Rows(results_frame(jobs)).factors) == (sizes < 4)


@pytest.mark.parametrize("sizes", [1, 2, 3])
def test_a_setting_follows_from_the_cell_alone_only_in_groups_of_two(sizes: int) -> None:
    linear = {"lstm": "joint", "rnn": "split"}
    jobs = [
        make_job(place, {"cell": cell, "linear": linear[cell], "size": size}, {"min_loss": 1.0})
        for place, (cell, size) in enumerate(itertools.product(linear, range(sizes)))
    ]
    assert ("linear" in Rows(results_frame(jobs)).factors) == (sizes < 2)


def random_search(n: int) -> pd.DataFrame:
    """Distinct random learning rates, and a gate."""
    random = np.random.default_rng(7)
    return results_frame(
        [
            make_job(
                i,
                {"rate": float(10 ** random.uniform(-5, -1)), "gate": bool(i % 2), "state_size": 8 * (1 + i // 2 % 8)},
                {"min_loss": float(random.standard_normal()) - i % 2},
            )
            for i in range(n)
        ]
    )


@pytest.mark.slow
def test_a_continuous_setting_is_compared_by_its_ranges() -> None:
    frame = random_search(2000)
    rates = sorted(frame["rate"])
    effects = paired_effects(frame)
    found = effects[effects["factor"] == "rate"]
    assert [level.low for level in found["level"]] == [rates[400 * place] for place in range(1, 5)]
    assert [level.high for level in found["level"]] == [rates[400 * place - 1] for place in range(2, 6)]
    assert found["pairs"].tolist() == [16] * 4
    fifth = np.searchsorted(rates, frame["rate"], side="right").clip(1) - 1
    means = frame.assign(fifth=fifth // 400).groupby(["gate", "state_size", "fifth"])["min_loss"].mean().unstack()
    assert found["median"].tolist() == pytest.approx([(means[place] - means[0]).median() for place in range(1, 5)])
    gate = one(effects, "gate")
    assert (gate["pairs"], gate["better"]) == (40, 40)
    where = paired_effects(frame, where={"gate": True})
    assert where.loc[where["factor"] == "rate", "level"].tolist() == found["level"].tolist()


def test_thirty_values_are_taken_as_they_are() -> None:
    jobs = [make_job(i, {"rate": i / 7}, {"min_loss": 1.0}) for i in range(31)]
    assert len(paired_effects(results_frame(jobs[:30]))) == 29
    assert len(paired_effects(results_frame(jobs))) == 4


def test_no_pairs_no_runs_and_wrong_names() -> None:
    jobs = [make_job(1, {"a": 1, "b": 1}, {"min_loss": 2.0}), make_job(2, {"a": 2, "b": 2}, {"min_loss": 1.0})]
    frame = results_frame(jobs)
    effects = paired_effects(frame)
    assert effects["pairs"].tolist() == [0, 0]
    assert effects["median"].isna().all()
    assert paired_effects(frame, where={"a": 3}).empty
    assert paired_effects(results_frame([make_job(1, {"a": 1}, None)])).empty
    with pytest.raises(UsageError, match="no setting 'c'"):
        paired_effects(frame, where={"c": 1})


def grid(effect: float, sd: float, seeds: int, *, layers: Sequence[int] = (1, 2, 3)) -> pd.DataFrame:
    """A switch that has this effect with three layers alone, four sizes with a large effect, and normal noise."""
    random = np.random.default_rng(5)
    jobs: list[Job] = []
    for on, n_layers, size, seed in itertools.product((False, True), layers, (16, 32, 64, 96), range(seeds)):
        loss = 3.0 - size / 2000 + effect * (on and n_layers == 3) + sd * float(random.standard_normal())
        model = {"use_residual": on, "n_layers": n_layers, "state_size": size}
        jobs.append(make_job(len(jobs) + 1, model, {"min_loss": loss}, seed=seed))
    return results_frame(jobs)


def test_an_effect_at_one_level_of_another_setting_is_found_there() -> None:
    effects = statistics_of(grid(-0.5, 0.02, 3)).effects
    row, tree = effect_of(effects, "use_residual")
    assert tree.split_by == ("n_layers",)
    by_layers = {part.where["n_layers"]: part for part in tree.parts}
    assert by_layers[3].mean == pytest.approx(-0.5, abs=0.03)
    assert is_clear(by_layers[3]) and not is_clear(by_layers[1]) and not is_clear(by_layers[2])
    said = sentences.effect(row, "min_loss", tree)
    assert said.startswith(("the residual lowers min_loss by 0.4", "the residual lowers min_loss by 0.5"))
    assert "at L = 3 (in 4 of 4 pairs), and makes no clear difference at L = 1" in said
    assert effects.strongest is not None  # the same interaction, from one of its sides
    assert effects.strongest[0]["factor"] in ("use_residual", "n_layers")


def test_names_and_order_of_levels_do_not_matter() -> None:
    frame = grid(-0.5, 0.02, 3)
    renamed = frame.rename(columns={"use_residual": "skip", "n_layers": "depth"})
    expected, _ = effect_of(statistics_of(frame).effects, "use_residual")
    found, tree = effect_of(statistics_of(renamed.iloc[::-1].reset_index(drop=True)).effects, "skip")
    assert found["mean"] == pytest.approx(expected["mean"])
    assert tree.split_by == ("depth",)


def effect_of(effects: Effects, factor: str) -> tuple[Effect, Branch]:
    """The only effect of a factor, and what it depends on."""
    ((row, tree),) = [
        (row, tree) for row, tree in zip(effects.rows, effects.trees, strict=True) if row["factor"] == factor
    ]
    assert tree is not None
    return row, tree


@pytest.mark.slow
def test_noise_alone_is_no_effect_and_has_no_branches() -> None:
    """Of 6 intervals each in 20 grids, 5 % miss 0 on average; the trees do not split."""
    missed, split = 0, 0
    for start in range(20):
        random = np.random.default_rng(start)
        frame = grid(0.0, 0.0, 3)
        frame["min_loss"] += 0.02 * random.standard_normal(len(frame))
        effects = statistics_of(frame).effects
        missed += sum(is_clear(row) for row in effects.rows if row["factor"] != "state_size")
        split += sum(tree is not None and bool(tree.parts) for tree in effects.trees)
    assert missed <= 10  # of 60; more than 10 in one of 2,000 cases at 5 %
    assert split <= 8  # of 120


def test_the_interval_is_that_of_known_noise() -> None:
    """With many seeds: the standard error of the mean of 12 pairs of means."""
    seeds, sd = 200, 0.1
    row = one(paired_effects(grid(0.0, sd, seeds)), "use_residual")
    expected = 1.96 * sd * np.sqrt(2 / seeds / 12)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(expected, rel=0.08)
    assert (row["low"] + row["high"]) / 2 == pytest.approx(row["mean"], abs=0.1 * expected)


def test_a_pair_with_an_unstable_configuration_counts_less() -> None:
    frame = grid(-0.5, 0.02, 3, layers=(3,))
    wild = ~frame["use_residual"].astype(bool) & (frame["state_size"] == 96)
    frame.loc[wild, "min_loss"] += [0.0, 1.0, 20.0]
    row = one(paired_effects(frame), "use_residual")
    assert row["mean"] == pytest.approx(-0.5, abs=0.1)
    assert is_clear(row)


def test_without_noise_nothing_is_clear() -> None:
    jobs = [make_job(i, {"gate": bool(i)}, {"min_loss": 1.0 - i}) for i in (0, 1)]
    effects = statistics_of(results_frame(jobs)).effects
    assert (effects.is_noise_known, effects.strongest) == (False, None)
    assert sentences.effect(effects.rows[0], "min_loss") == (
        "the gate lowers min_loss by 1.000 on average (in 1 of 1 pairs); the noise is unknown"
    )


def test_the_published_layers_in_branches(explore: pd.DataFrame, refine: pd.DataFrame, replicate: pd.DataFrame) -> None:
    """Two layers against one: worse by 0.043 on average, but better with a residual."""
    effects = statistics_of(explore, other_rounds=[runs_of(refine), runs_of(replicate)]).effects
    place = next(n for n, row in enumerate(effects.rows) if (row["factor"], row["level"]) == ("n_layers", 2))
    tree = effects.trees[place]
    assert effects.rows[place]["mean"] == pytest.approx(0.043, abs=0.001)
    assert tree is not None and tree.split_by == ("use_residual",)
    without, with_residual = tree.parts
    assert (without.mean > 0.2, with_residual.mean < -0.04) == (True, True)
    assert is_clear(without) and is_clear(with_residual)


def test_the_intervals_of_a_round_hold_its_means(explore: pd.DataFrame) -> None:
    effects = paired_effects(explore, where=FOCUS)
    assert (effects["low"] < effects["mean"]).all()
    assert (effects["mean"] < effects["high"]).all()
    row = one(effects, "use_forget_gate")
    assert row["high"] < 0  # the forget gate helps
