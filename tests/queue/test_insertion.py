"""Promise 1: adding is idempotent."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from rnnlab.errors import ExperimentChangedError
from rnnlab.queue.job import NewJob, Status
from rnnlab.queue.store import Store
from rnnlab.queue.tables import experiments
from rnnlab.queue.transactions import read_transaction
from tests.support.store import ManualClock, add, kinds, new_job, register, run_together


def test_a_new_job_is_pending_and_untouched(store: Store, clock: ManualClock) -> None:
    new = new_job(7, group_key="gru", priority=3, target_steps=500)
    assert store.add_jobs("demo", "{}", "first", [new]) == 1
    [job] = store.jobs()
    assert NewJob(job.config_hash, job.payload, job.group_key, job.target_steps, job.priority) == new
    assert (job.experiment, job.round, job.status) == ("demo", "first", Status.PENDING)
    assert (job.epoch, job.step, job.deaths, job.seconds) == (0, 0, 0, 0.0)
    assert (job.worker_id, job.result, job.error, job.started_at, job.finished_at) == (None,) * 5
    assert job.created_at == clock.now
    assert store.job(job.id) == job
    assert store.job(job.id + 1) is None


def test_adding_twice_adds_once(store: Store) -> None:
    assert store.add_jobs("demo", "{}", "first", [new_job(n) for n in range(50)]) == 50
    before = store.jobs(), store.events(limit=None)
    assert store.add_jobs("demo", "{}", "first", [new_job(n) for n in range(50)]) == 0
    assert (store.jobs(), store.events(limit=None)) == before


def test_only_the_missing_ones_are_added(store: Store) -> None:
    add(store, [new_job(n) for n in range(0, 10, 2)])
    assert store.add_jobs("demo", "{}", "first", [new_job(n) for n in range(10)]) == 5
    assert len(store.events(limit=None)) == 10


def test_adding_again_leaves_a_running_job_alone(store: Store) -> None:
    add(store, [new_job(1)])
    [claimed] = store.claim(register(store, "w"), 1)
    add(store, [new_job(1, priority=9)])
    assert store.job(claimed.id) == claimed


def test_the_same_config_may_be_in_several_rounds_and_experiments(store: Store) -> None:
    for experiment, round_name in [("demo", "first"), ("demo", "second"), ("other", "first")]:
        assert store.add_jobs(experiment, "{}", round_name, [new_job(1)]) == 1


def test_jobs_keep_the_order_in_which_they_were_given(store: Store) -> None:
    given = [new_job(n) for n in range(3000)]
    add(store, given)
    assert [job.payload for job in store.jobs()] == [job.payload for job in given]


def test_an_error_while_adding_adds_nothing(store: Store) -> None:
    def broken() -> Iterator[NewJob]:
        yield new_job(1)
        raise RuntimeError("grid")

    with pytest.raises(RuntimeError, match="grid"):
        store.add_jobs("demo", "{}", "first", broken())
    assert (store.jobs(), store.experiment_names(), store.events()) == ([], [], [])


def test_two_processes_that_add_at_once_add_each_job_once(database_url: str) -> None:
    # Neither process finds a database, so this also tests its creation from two processes at once.
    added = [int(output) for output in run_together([["add", database_url, "400"]] * 4)]
    assert sum(added) == 400


def test_jobs_that_go_on_have_the_steps_and_seconds_of_others(store: Store) -> None:
    items = [(new_job(n, target_steps=1000), 10 * n, n / 4) for n in (1, 2)]
    assert store.add_begun("demo", "{}", "first", items) == 2
    assert store.add_begun("demo", "{}", "first", items) == 0
    assert [(job.status, job.epoch, job.step, job.seconds) for job in store.jobs()] == [
        (Status.PENDING, 0, 10, 0.25),
        (Status.PENDING, 0, 20, 0.5),
    ]
    register(store, "w")
    assert [(job.epoch, job.step, job.seconds) for job in store.claim("w", 2)] == [(1, 10, 0.25), (1, 20, 0.5)]
    assert kinds(store, 1) == ["added", "claimed"]


def test_imported_results_are_done(store: Store, clock: ManualClock) -> None:
    items = [(new_job(n), {"loss": n / 3}, 2.5) for n in range(3)]
    assert store.add_finished("demo", "{}", "first", items) == 3
    assert store.add_finished("demo", "{}", "first", items) == 0
    job = store.jobs()[1]
    assert (job.status, job.step, job.result, job.seconds) == (Status.DONE, 1000, {"loss": 1 / 3}, 2.5)
    assert job.finished_at == clock.now
    assert kinds(store, job.id) == ["imported"]
    assert store.claim(register(store, "w"), 1) == []


def test_importing_a_job_that_is_there_changes_nothing(store: Store) -> None:
    [job_id] = add(store, [new_job(1)])
    assert store.add_finished("demo", "{}", "first", [(new_job(1), {}, 0.0)]) == 0
    job = store.job(job_id)
    assert job is not None and job.status is Status.PENDING


def test_storing_the_same_experiment_again_is_no_update(store: Store, clock: ManualClock) -> None:
    def updated_at() -> float:
        with read_transaction(store.engine) as connection:
            return float(connection.execute(select(experiments.c.updated_at)).scalar_one())

    store.add_jobs("demo", "{}", "first", [])
    first = clock.now
    clock.now += 5
    store.add_jobs("demo", "{}", "first", [])
    store.add_jobs("demo", "{}", "first", [], instead_of="{}")
    assert updated_at() == first
    store.add_jobs("demo", '{"a":1}', "first", [], instead_of="{}")
    assert updated_at() == clock.now


def test_an_experiment_is_replaced_by_those_only_who_know_what_they_replace(store: Store) -> None:
    assert store.experiment("demo") is None
    store.add_jobs("demo", '{"a":1}', "first", [])
    store.add_jobs("zoo", "{}", "first", [])
    for found in (None, '{"a":0}'):
        with pytest.raises(ExperimentChangedError, match="another command changed experiment demo"):
            store.add_jobs("demo", '{"a":2}', "first", [new_job(1)], instead_of=found)
    assert (store.experiment("demo"), store.jobs()) == ('{"a":1}', [])
    assert store.add_jobs("demo", '{"a":2}', "first", [new_job(1)], instead_of='{"a":1}') == 1
    assert store.experiment("demo") == '{"a":2}'
    assert store.experiment_names() == ["demo", "zoo"]


def test_of_different_experiments_of_one_name_at_the_same_moment_one_is_stored(store: Store, database_url: str) -> None:
    """Each process has read the table before and found no experiment."""
    outputs = run_together([["define", database_url, str(number)] for number in range(4)])
    assert sorted(output.strip() for output in outputs) == ["changed meanwhile"] * 3 + ["stored"]
    assert len(store.jobs()) == 1


def test_a_result_is_json_as_databases_understand_it(store: Store) -> None:
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not JSON compliant"):
            store.add_finished("demo", "{}", "first", [(new_job(1), {"loss": number}, 1.0)])
    assert store.jobs() == []
