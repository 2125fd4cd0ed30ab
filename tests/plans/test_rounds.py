"""Finished rounds lead to the next ones."""

import subprocess
import sys
from typing import Any

import pytest

from rnnlab.errors import RnnlabError, SpecError, UsageError
from rnnlab.plans.enqueue import initialize, new_jobs
from rnnlab.plans.plan import config_of
from rnnlab.plans.rounds import RoundState, advance
from rnnlab.queue.job import Status
from rnnlab.queue.store import Store
from tests.plans.examples import AXIS, by_place, finish, plan_of, rows


def test_a_round_that_is_not_complete_stays(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, lambda job: by_place(job) if job.id > 1 else None, "explore")
    before = rows(store)
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds == [RoundState("explore", expected=4, done=3, failed=1, missing=0)]
    assert (progression.added, progression.n_added) == (None, 0)
    assert rows(store) == before

    store.retry_failed()
    assert advance(store, "small", enqueue=True).rounds == [RoundState("explore", 4, done=3, failed=0, missing=0)]
    finish(store, by_place, "explore")
    assert advance(store, "small", enqueue=False).rounds[0].complete


def test_jobs_of_the_first_round_are_added_by_init_alone(store: Store, small_toml: str) -> None:
    """A results file may hold some of the grid only."""
    plan = plan_of(small_toml)
    first = plan.first_round[0]
    store.add_finished("small", plan.json, "explore", [(new_jobs([first])[0], {"min_loss": 1.0}, 1.0)])
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds == [RoundState("explore", expected=4, done=1, failed=0, missing=3)]
    assert progression.n_added == 0
    assert len(store.jobs()) == 1


def test_a_complete_round_adds_the_next(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, by_place, "explore")

    asked = advance(store, "small", enqueue=False)
    assert asked.rounds[1] == RoundState("refine", expected=4, done=0, failed=0, missing=4)
    assert asked.added is not None
    assert asked.added.explain() == "round refine: 4 jobs from the best 2 of 4 runs by min_loss (50%): 4 variants"
    assert asked.n_added == 0
    assert len(store.jobs()) == 4

    told = advance(store, "small", enqueue=True)
    assert (told.rounds, told.added, told.n_added) == (asked.rounds, asked.added, 4)
    assert asked.missing_configs == told.missing_configs == asked.added.configs
    added = [config_of(job) for job in store.jobs("small", "refine")]
    assert [
        (run.settings["n_layers"], run.settings["use_forget_gate"], run.settings["state_size"]) for run in added
    ] == [
        (1, False, 4),
        (1, False, 6),
        (1, True, 4),
        (1, True, 6),
    ]
    assert {run.settings["windows"] for run in added} == {3}
    assert {job.status for job in store.jobs("small", "refine")} == {Status.PENDING}

    before = rows(store)
    again = advance(store, "small", enqueue=True)
    assert again.rounds[1] == RoundState("refine", expected=4, done=0, failed=0, missing=0)
    assert (again.added, again.n_added) == (None, 0)
    assert rows(store) == before


def test_to_the_end(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    for round_name in ("explore", "refine", "replicate"):
        finish(store, by_place, round_name)
        progression = advance(store, "small", enqueue=True)
    assert progression.rounds == [
        RoundState("explore", 4, done=4, failed=0, missing=0),
        RoundState("refine", 4, done=4, failed=0, missing=0),
        RoundState("replicate", 6, done=6, failed=0, missing=0),
    ]
    assert all(state.complete for state in progression.rounds)
    assert (progression.added, progression.n_added) == (None, 0)
    seeds = [config_of(job).seed for job in store.jobs("small", "replicate")]
    assert seeds == [1, 2, 3, 1, 2, 3]


def test_jobs_that_the_next_round_lacks_are_added(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, by_place, "explore")
    advance(store, "small", enqueue=True)
    finish(store, by_place, "refine")
    more = plan_of(
        small_toml.replace("[[rounds.vary]]\nset", "[[rounds.vary]]\nset = { state_size = 8 }\n\n[[rounds.vary]]\nset")
    )
    initialize(store, more)
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds[1] == RoundState("refine", expected=6, done=4, failed=0, missing=2)
    assert progression.n_added == 2
    assert {run.model.state_size for run in progression.missing_configs} == {8}


def test_a_diverged_run_counts_as_done_and_is_not_selected(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    diverged: dict[int, dict[str, Any]] = {
        1: {"min_loss": 0.5, "diverged_at_step": 7},
        2: {"min_loss": None, "diverged_at_step": 1},
    }
    finish(store, lambda job: diverged.get(job.id, by_place(job)), "explore")
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds[0].complete
    assert progression.added is not None
    assert progression.added.considered == 2
    assert {run.model.n_layers for run in progression.added.configs} == {2}


def test_all_diverged_ends_the_experiment_without_claiming_success(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, lambda job: {"min_loss": None, "diverged_at_step": 1}, "explore")
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds[1] == RoundState("refine", expected=0, done=0, failed=0, missing=0)
    assert not progression.rounds[1].complete
    assert len(progression.rounds) == 2
    assert progression.n_added == 0


def test_a_rule_that_asks_for_another_result(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml.replace('by = "min_loss", best', 'by = "min_los", best')))
    finish(store, by_place, "explore")
    with pytest.raises(UsageError, match=r"^the next round selects by 'min_los', but job 1 has only min_loss, "):
        advance(store, "small", enqueue=True)


@pytest.mark.parametrize(("value", "told"), [("cpu", '"cpu"'), (True, "true"), ([1.0], r"\[1.0\]")])
def test_a_rule_that_asks_for_what_is_no_number(store: Store, small_toml: str, value: object, told: str) -> None:
    initialize(store, plan_of(small_toml.replace('by = "min_loss", best', 'by = "device", best')))
    finish(store, lambda job: by_place(job) | {"device": value}, "explore")
    with pytest.raises(UsageError, match=rf"^the next round selects by 'device', but its value in job 1 is {told}, "):
        advance(store, "small", enqueue=True)


def test_a_selection_by_parameters_or_seconds(store: Store, small_toml: str) -> None:
    """Both are in the table; diverged runs need neither."""
    results: dict[int, dict[str, Any]] = {
        1: {"min_loss": 3.0, "parameters": 10},
        2: {"min_loss": 2.0, "parameters": 10},
        3: {"min_loss": 1.0, "parameters": 20},
        4: {"min_loss": None, "diverged_at_step": 1},
    }
    text = small_toml.replace("best_fraction = 0.5", 'pareto = "parameters"')
    initialize(store, plan_of(text))
    finish(store, lambda job: results[job.id], "explore")
    added = advance(store, "small", enqueue=False).added
    assert added is not None
    assert [(parent.value, parent.cost) for parent in added.parents] == [(1.0, 20.0), (2.0, 10.0)]

    by_time = plan_of(small_toml.replace("best_fraction = 0.5", 'pareto = "seconds"'))
    initialize(store, by_time)
    added = advance(store, "small", enqueue=False).added
    assert added is not None
    seconds = {job.id: job.seconds for job in store.jobs("small", "explore")}
    assert added.parents[0].cost == seconds[3] > 0


@pytest.mark.parametrize("quantity", ["parameters", "seconds"])
def test_imported_results_without_what_a_selection_weighs(store: Store, small_toml: str, quantity: str) -> None:
    plan = plan_of(small_toml.replace("best_fraction = 0.5", f'pareto = "{quantity}"'))
    jobs = new_jobs(plan.first_round)
    store.add_finished("small", plan.json, "explore", [(job, {"min_loss": 2.0}, 0.0) for job in jobs])
    with pytest.raises(UsageError, match=rf"^the next round selects by {quantity}, but job 1 has no such value: imp"):
        advance(store, "small", enqueue=True)


def test_a_rule_whose_change_is_illegal_for_a_parent(store: Store, small_toml: str) -> None:
    """Nothing is added: neither the legal jobs of the round."""
    text = small_toml.replace(AXIS, f"{AXIS}\nuse_residual = [true, false]").replace(
        "set = { windows = 3 }", "set = { windows = 3, use_new_state = false }"
    )
    initialize(store, plan_of(text))
    finish(store, by_place, "explore")
    with pytest.raises(SpecError, match=r"the layer has no output"):
        advance(store, "small", enqueue=True)
    assert {job.round for job in store.jobs()} == {"explore"}


def test_left_over_jobs_take_no_part(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    initialize(store, plan_of(small_toml.replace(AXIS, "n_layers = [2]")))
    finish(store, by_place, "explore")
    progression = advance(store, "small", enqueue=True)
    assert progression.added is not None
    assert progression.added.considered == 2
    assert {run.model.n_layers for run in progression.added.configs} == {2}


_ADVANCE = """
import sys
from rnnlab.plans.rounds import advance
from rnnlab.queue.database import open_database
from rnnlab.queue.store import Store
store = Store(open_database(sys.argv[1], create=False))
print("ready", flush=True)
sys.stdin.readline()
print(advance(store, "small", enqueue=True).n_added)
store.engine.dispose()
"""


def test_two_processes_advance_at_once(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, by_place, "explore")
    path = str(store.engine.url.database)
    command = [sys.executable, "-W", "error", "-c", _ADVANCE, path]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        outputs = [child.communicate(timeout=60)[0] for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert [child.returncode for child in children] == [0, 0]
    # Whoever came first added all of them.
    assert sorted(map(int, outputs)) == [0, 4]
    assert len(store.jobs("small", "refine")) == 4
    assert [event.kind for event in store.events(limit=None)].count("added") == 8


def test_errors_are_those_of_the_user(store: Store) -> None:
    with pytest.raises(RnnlabError, match=r"^no experiment 'small' in this database: it has none; `rnnlab init` adds"):
        advance(store, "small", enqueue=True)
