"""From the results of one round to the runs of the next."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rnnlab.errors import SpecError
from rnnlab.spec.experiment_tables import RoundRule, Selection
from rnnlab.spec.library import find_experiment
from rnnlab.spec.round_rules import FinishedRun, plan_round
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.settings import Scalar
from tests.spec.examples import CORPUS, config

Point = tuple[tuple[str, Scalar], ...]
GATES = ("use_input_gate", "use_forget_gate", "use_output_gate", "use_state_gate")
SWITCHES = (*GATES, "use_new_state", "use_old_state", "use_residual")
SETTINGS = ("n_layers", "state_size", *SWITCHES)


def _runs(values: Sequence[float]) -> list[FinishedRun]:
    """Runs of different state sizes with these results."""
    return [FinishedRun(config(state_size=size), value) for size, value in enumerate(values, start=1)]


def _rule(**fields: object) -> RoundRule:
    return RoundRule.model_validate({"name": "next", "select": {"top": 2}, **fields})


def _sizes(configs: Sequence[RunConfig]) -> list[int]:
    return [one.model.state_size for one in configs]


# The published rounds


def _published_rows(folder: Path, number: int) -> list[dict[str, str]]:
    with (folder / f"dynamics_round{number}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _point(row: dict[str, str]) -> Point:
    return tuple((name, int(row[name])) for name in SETTINGS)


def _point_of(run: RunConfig) -> Point:
    return tuple((name, int(run.settings[name])) for name in SETTINGS)


def _published_runs(folder: Path, number: int) -> list[FinishedRun]:
    """The published runs of a round, each setting once with its best result: repeats competed as one."""
    dynamics = find_experiment("dynamics")
    fixed: dict[str, Scalar] = {} if number == 1 else dynamics.rounds[number - 2].set
    best: dict[Point, float] = {}
    for row in _published_rows(folder, number):
        best[_point(row)] = min(float(row["min_loss"]), best.get(_point(row), math.inf))
    return [
        FinishedRun(
            dynamics.run_config(CORPUS, {**{k: bool(v) if k in SWITCHES else v for k, v in point}, **fixed}), value
        )
        for point, value in best.items()
    ]


def test_refine_is_the_published_second_round(published: Path) -> None:
    plan = plan_round(find_experiment("dynamics").rounds[0], _published_runs(published, 1))
    assert (plan.considered, len(plan.parents), plan.variants, len(plan.configs)) == (432, 43, 156, 130)
    assert plan.parents[0].value == 1.59276
    assert plan.explain() == (
        "round refine: 130 jobs from the best 43 of 432 runs by min_loss (10%): 156 variants, 26 of them repeated"
    )
    assert {one.target_steps for one in plan.configs} == {50_949}

    rows = _published_rows(published, 2)
    assert len(rows) == 156
    assert {_point_of(one) for one in plan.configs} == {_point(row) for row in rows}


def test_refine_gives_each_variant_as_often_as_it_was_published(published: Path) -> None:
    """Variants of different parents that are the same run: 26 repeats in the published table."""
    rule = find_experiment("dynamics").rounds[0]
    parents = plan_round(rule, _published_runs(published, 1)).parents
    alone = [plan_round(rule.model_copy(update={"select": Selection(top=1)}), [parent]) for parent in parents]
    made = Counter(_point_of(one) for plan in alone for one in plan.configs)
    assert made == Counter(_point(row) for row in _published_rows(published, 2))


def test_replicate_is_ten_seeds_of_the_top_ten(published: Path) -> None:
    plan = plan_round(find_experiment("dynamics").rounds[1], _published_runs(published, 2))
    assert (plan.considered, len(plan.parents), plan.seeds, len(plan.configs)) == (130, 10, 10, 100)
    assert plan.explain() == (
        "round replicate: 100 jobs from the best 10 of 130 runs by min_loss: 10 variants, 10 seeds each"
    )
    assert plan.parents[0].value == 1.40789
    assert Counter(one.seed for one in plan.configs) == dict.fromkeys(range(1, 11), 10)
    assert {one.target_steps for one in plan.configs} == {10_989}
    # All configurations of the published third round are among them; it repeated one of the ten twice as often.
    assert {_point(row) for row in _published_rows(published, 3)} <= {_point_of(one) for one in plan.configs}


# The rules, one by one


def test_best_first_whatever_the_order_of_finishing() -> None:
    runs = _runs([3.0, 1.0, 2.0, 4.0])
    assert _sizes(plan_round(_rule(), runs).configs) == [2, 3]
    assert plan_round(_rule(), runs) == plan_round(_rule(), runs[::-1])


@given(st.permutations(range(6)))
def test_ties_do_not_depend_on_the_order_of_finishing(order: list[int]) -> None:
    runs = _runs([1.0] * 6)
    chosen = plan_round(_rule(), [runs[place] for place in order]).configs
    assert chosen == sorted((run.config for run in runs), key=lambda one: one.hash)[:2]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_diverged_runs_are_never_selected(value: float) -> None:
    plan = plan_round(_rule(select={"top": 5}), _runs([value, 2.0, value, 1.0]))
    assert _sizes(plan.configs) == [4, 2]
    assert plan.considered == 2


def test_nothing_to_select_from() -> None:
    selections: list[dict[str, object]] = [{"best_fraction": 0.5}, {"below": 9.0}, {"pareto": "parameters"}]
    for rule in (_rule(), _rule(seeds=3), *(_rule(select=select) for select in selections)):
        for runs in ([], _runs([math.nan])):
            plan = plan_round(rule, runs)
            assert (plan.configs, plan.parents, plan.considered) == ([], [], 0)


def test_seeds_of_one_config_compete_as_one() -> None:
    lucky = [FinishedRun(config(state_size=5, seed=seed), 1.0 + seed / 10) for seed in range(3)]
    plan = plan_round(_rule(), [*lucky, *_runs([2.0, 3.0])])
    assert _sizes(plan.configs) == [5, 1]
    assert plan.considered == 3
    assert plan.parents[0].value == pytest.approx(1.1)


def test_the_mean_over_seeds_decides_not_the_luckiest() -> None:
    """As in the report, which ranks by the mean. A selected config goes on with its lowest seed."""
    lucky = [FinishedRun(config(state_size=5, seed=seed), value) for seed, value in ((3, 0.5), (1, 2.5), (2, 2.4))]
    steady = [FinishedRun(config(state_size=6, seed=seed), value) for seed, value in ((3, 1.0), (1, 1.1), (2, 1.2))]
    plan = plan_round(_rule(select={"top": 1}), [*lucky, *steady])
    assert [(one.settings["state_size"], one.seed) for one in plan.configs] == [(6, 1)]
    assert plan.parents[0].value == pytest.approx(1.1)
    below = plan_round(_rule(select={"below": 1.5}), [*lucky, *steady])
    assert _sizes(below.configs) == [6]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_config_of_which_a_seed_diverged_is_not_selected(value: float) -> None:
    risky = [FinishedRun(config(state_size=5, seed=seed), loss) for seed, loss in enumerate([0.1, 0.1, value])]
    plan = plan_round(_rule(select={"top": 5}), [*risky, *_runs([2.0, 1.0])])
    assert _sizes(plan.configs) == [2, 1]
    assert plan.considered == 2


def test_set_vary_when_keep_in_this_order() -> None:
    rule = _rule(
        set={"windows": 7, "n_layers": 2},
        vary=[{}, {"set": {"state_size": 9}}, {"when": {"n_layers": 2}}, {"set": {"windows": 8}, "when": {"seed": 0}}],
        keep={"state_size": [2, 9]},
    )
    plan = plan_round(rule, _runs([1.0, 2.0]))
    # The third variant asks for n_layers = 2: parents have 1. What a variant sets goes above what is set for all.
    assert plan.variants == 4
    assert [(one.settings["state_size"], one.settings["windows"]) for one in plan.configs] == [(9, 7), (2, 7), (2, 8)]
    assert {one.model.n_layers for one in plan.configs} == {2}


def test_equal_variants_are_merged() -> None:
    plan = plan_round(_rule(vary=[{}, {"set": {"state_size": 1}}]), _runs([1.0, 2.0]))
    assert (plan.variants, _sizes(plan.configs)) == (4, [1, 2])
    assert plan.explain() == (
        "round next: 2 jobs from the best 2 of 2 runs by min_loss: 4 variants, 2 of them repeated"
    )


def test_fresh_seeds_follow_the_seeds_that_were_used() -> None:
    """A seed that took part in the selection would flatter the config that it selected."""
    runs = [FinishedRun(config(state_size=size, seed=seed), size + seed / 10) for size in (1, 2) for seed in (4, 6)]
    plan = plan_round(_rule(seeds=2), runs)
    assert [(one.model.state_size, one.seed) for one in plan.configs] == [(1, 7), (1, 8), (2, 7), (2, 8)]
    assert not {one.hash for one in plan.configs} & {run.config.hash for run in runs}


def test_seeds_of_merged_variants_are_counted_once() -> None:
    """Two parents with different best seeds that become the same config are one config with `seeds` seeds."""
    runs = [FinishedRun(config(state_size=1, seed=3), 1.0), FinishedRun(config(state_size=2, seed=8), 2.0)]
    plan = plan_round(_rule(set={"state_size": 5}, seeds=2), runs)
    assert [(one.model.state_size, one.seed) for one in plan.configs] == [(5, 9), (5, 10)]
    assert plan.explain() == (
        "round next: 2 jobs from the best 2 of 2 runs by min_loss: 2 variants, 1 of them repeated, 2 seeds each"
    )


def test_seeds_can_begin_where_the_round_says() -> None:
    plan = plan_round(_rule(set={"seed": 100}, seeds=2), _runs([1.0]))
    assert [one.seed for one in plan.configs] == [101, 102]


def test_a_change_that_is_illegal_for_a_parent() -> None:
    rule = _rule(set={"use_new_state": False, "use_residual": False})
    expected = r"^round next: model: one of use_new_state, use_old_state, use_residual must be true"
    with pytest.raises(SpecError, match=expected):
        plan_round(rule, _runs([1.0]))


@given(st.integers(1, 10_000), st.integers(1, 100))
@example(100, 29)  # 28.999999999999996 in floating point
def test_a_fraction_is_rounded_down_but_never_to_none(available: int, percent: int) -> None:
    count = Selection(best_fraction=percent / 100).count(available)
    assert count == max(1, available * percent // 100)


@given(st.integers(0, 100), st.integers(1, 100))
def test_top_is_limited_by_what_there_is(available: int, top: int) -> None:
    assert Selection(top=top).count(available) == min(top, available)


def test_a_tenth_of_the_published_grid_is_43() -> None:
    assert Selection(best_fraction=0.1).count(432) == 43
    assert Selection(best_fraction=0.1).count(0) == 0


def test_all_below_a_bound() -> None:
    runs = _runs([1.5, 1.2, math.nan, 1.4999, 2.0, -math.inf])
    plan = plan_round(_rule(select={"below": 1.5}), runs)
    assert (_sizes(plan.configs), plan.considered) == ([2, 4], 4)
    assert plan.explain() == "round next: 2 jobs from the 2 of 4 runs with min_loss below 1.5: 2 variants"
    assert plan_round(_rule(select={"below": 1.0}), runs).configs == []


def _with_costs(points: Sequence[tuple[float, float]]) -> list[FinishedRun]:
    return [FinishedRun(config(state_size=size), *point) for size, point in enumerate(points, start=1)]


# Few different numbers, so that there are ties in one of the two and in both; some runs diverged.
POINTS = st.lists(st.tuples(st.sampled_from([0.5, 1.0, 1.5, 2.0, math.nan]), st.integers(1, 5)), max_size=30)


@given(POINTS, st.randoms())
def test_the_pareto_front_is_what_no_run_beats(points: list[tuple[float, float]], random: Random) -> None:
    """Against the definition, pair by pair."""
    runs = _with_costs(points)
    able = [run for run in runs if math.isfinite(run.value)]
    front = [
        run.config.hash
        for run in able
        if not any(
            other.value <= run.value and other.cost <= run.cost and (other.value < run.value or other.cost < run.cost)
            for other in able
        )
    ]
    random.shuffle(runs)
    plan = plan_round(_rule(select={"pareto": "parameters"}), runs)
    assert sorted(parent.config.hash for parent in plan.parents) == sorted(front)
    assert [parent.value for parent in plan.parents] == sorted(parent.value for parent in plan.parents)
    assert plan == plan_round(_rule(select={"pareto": "parameters"}), runs[::-1])


def test_ties_on_the_pareto_front() -> None:
    """Equal in both: both stay. Equal in one: who is worse in the other goes."""
    runs = _with_costs([(1.0, 50), (1.0, 50), (1.0, 60), (2.0, 50), (2.0, 10), (3.0, 10)])
    plan = plan_round(_rule(select={"pareto": "seconds", "by": "test_loss"}), runs)
    assert sorted(_sizes(plan.configs)) == [1, 2, 5]
    assert plan.explain() == (
        "round next: 3 jobs from the 3 of 6 runs on the Pareto front of test_loss and seconds: 3 variants"
    )


def test_seeds_of_one_config_are_weighed_by_their_means() -> None:
    """Neither the best loss of one seed nor the least seconds of another."""
    one = [FinishedRun(config(state_size=5, seed=seed), 1.0 + seed, 9.0 - 8 * seed) for seed in range(2)]
    other = FinishedRun(config(state_size=6), 3.0, 2.0)
    dominated = FinishedRun(config(state_size=7), 1.75, 5.5)
    plan = plan_round(_rule(select={"pareto": "seconds"}), [*one, other, dominated])
    assert (plan.parents, plan.considered) == ([FinishedRun(config(state_size=5), 1.5, 5.0), other], 3)


def test_what_becomes_of_a_selected_run_in_words() -> None:
    assert plan_round(find_experiment("dynamics").rounds[0], []).changes() == [
        "all with windows = 51, record_every = 100",
        "each otherwise unchanged",
        "each with state_size = 512",
        "each with n_layers = 3, state_size = 256 where n_layers = 1 or 2",
        "each with n_layers = 3, state_size = 512 where n_layers = 1 or 2",
        "kept where state_size = 256 or 512",
    ]
    assert plan_round(_rule(), []).changes() == []
    assert plan_round(_rule(vary=[{}, {"set": {"seed": 3}}]), []).changes() == ["each unchanged", "each with seed = 3"]
