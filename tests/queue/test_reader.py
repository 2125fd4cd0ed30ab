"""Reading: its results, and that it changes nothing (promises 8 and 9)."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from rnnlab.errors import DatabaseError
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Curve, Status
from rnnlab.queue.reader import Improvement, Load, Progress, Reader
from rnnlab.queue.store import Store
from rnnlab.queue.tables import metadata
from rnnlab.queue.transactions import read_transaction, write_transaction
from tests.support.store import CURVE, ManualClock, add, fail_for_good, new_job, register, run_together


@pytest.fixture
def reader(database_url: str, engine: Engine) -> Iterator[Reader]:
    looking = open_database(database_url, create=False, read_only=True)
    yield Reader(looking)
    looking.dispose()


def look_at_everything(reader: Reader) -> list[object]:
    return [
        reader.experiment_names(),
        reader.experiment("demo"),
        reader.counts(),
        reader.counts("demo"),
        reader.pending_count(),
        reader.pending_count("demo"),
        reader.statuses("demo", "first"),
        reader.progress("demo"),
        reader.jobs(),
        reader.job(1),
        reader.find_jobs("0"),
        reader.curve(1),
        reader.curves("demo"),
        reader.events(limit=None),
        reader.workers(),
        reader.held_by("w"),
        reader.any_open(),
        reader.any_open("demo"),
        reader.lowest("demo", "loss", unless="stopped"),
        reader.improvements("demo", "loss", unless="stopped"),
        reader.failures("demo"),
        reader.loads(),
    ]


def fill(store: Store) -> None:
    add(store, [new_job(n, group_key="ab"[n % 2]) for n in range(6)])
    add(store, [new_job(1)], round_name="second")
    add(store, [new_job(1)], experiment="other")
    first, second, _ = store.claim(register(store, "w"), 3)
    store.finish(first.claim, {"loss": 1.0}, 4.0, CURVE)
    store.commit_progress(second.claim, 250, 1.0, CURVE)


def test_counts_and_sums(store: Store) -> None:
    fill(store)
    done, running, pending = Status.DONE, Status.RUNNING, Status.PENDING
    assert store.counts("demo") == {
        ("demo", "first", done): 1,
        ("demo", "first", running): 2,
        ("demo", "first", pending): 3,
        ("demo", "second", pending): 1,
    }
    assert store.counts() == dict(store.counts("demo")) | {("other", "first", pending): 1}
    assert (store.pending_count(), store.pending_count("demo"), store.pending_count("none")) == (5, 4, 0)
    assert [store.pending_count(at_most=most) for most in (1, 4, 5, 6)] == [1, 4, 5, 5]
    assert [store.pending_count("demo", at_most=most) for most in (1, 4, 5)] == [1, 4, 4]
    assert store.progress("demo") == [
        Progress("first", "a", done, True, 1, 1000, 1000, 4.0),
        Progress("first", "a", running, True, 2, 250, 2000, 1.0),
        Progress("first", "b", pending, False, 3, 0, 3000, 0.0),
        Progress("second", "g", pending, False, 1, 0, 1000, 0.0),
    ]


def test_statuses_are_those_of_one_round(store: Store) -> None:
    fill(store)
    for round_name in ("first", "second", "third"):
        expected = {job.config_hash: job.status for job in store.jobs("demo", round_name)}
        assert store.statuses("demo", round_name) == expected
    assert store.statuses("none", "first") == {}


def test_open_jobs_are_pending_or_running(store: Store) -> None:
    def open_in(*names: str | None) -> list[bool]:
        return [store.any_open(name) for name in names]

    assert open_in(None, "demo") == [False, False]
    add(store, [new_job(1)])
    add(store, [new_job(2)], experiment="other")
    assert open_in(None, "demo", "other", "none") == [True, True, True, False]
    first, second = store.claim(register(store, "w"), 2)
    assert open_in(None, "demo", "other", "none") == [True, True, True, False]
    store.finish(first.claim, {}, 1.0, CURVE)
    assert open_in(None, "demo", "other") == [True, False, True]
    store.release([second.claim])
    store.pause([second.id])
    assert open_in(None, "demo", "other") == [False, False, False]


def test_jobs_by_round_status_and_hash(store: Store) -> None:
    fill(store)
    assert len(store.jobs()) == 8
    assert len(store.jobs("demo")) == 7
    assert [job.round for job in store.jobs("demo", "second")] == ["second"]
    assert len(store.jobs("demo", "first", Status.RUNNING)) == 2
    wanted = new_job(1).config_hash
    assert [job.id for job in store.find_jobs(wanted[:10])] == [2, 7, 8]
    assert [job.id for job in store.find_jobs(wanted.upper(), "other")] == [8]
    assert store.find_jobs("") == store.find_jobs("no%") == store.find_jobs("0" * 64) == []


def test_a_curve_comes_back_bit_for_bit(store: Store) -> None:
    add(store, [new_job(1)])
    [job] = store.claim(register(store, "w"), 1)
    assert store.curve(job.id) is None
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, float("inf"), float("nan")]
    store.commit_progress(job.claim, 7, 1.0, Curve(list(range(7)), {"loss": values, "rate": [0.5] * 7}))
    read = store.curve(job.id)
    assert read is not None
    assert [value.hex() for value in read.series["loss"]] == [value.hex() for value in values]
    assert math.copysign(1, read.series["loss"][4]) == -1
    assert read.steps == list(range(7))
    assert list(store.curves("demo", "first")) == [job.id]
    assert store.curves("demo", "second") == store.curves("other") == {}


def test_events_are_the_whole_history_in_order(store: Store, clock: ManualClock) -> None:
    fill(store)
    events = store.events(limit=None)
    assert [event.id for event in events] == sorted(event.id for event in events)
    assert [event.kind for event in events] == ["added"] * 8 + ["claimed"] * 3 + ["finished"]
    assert {event.at for event in events} == {clock.now}
    assert store.events(limit=2) == events[-2:]
    assert store.events(1) == [event for event in events if event.job_id == 1]
    assert (events[-1].worker_id, events[-1].epoch) == ("w", 1)


def stored(url: str) -> dict[str, object]:
    """Every byte of the database file; on a server, every row with the transaction that wrote it."""
    if make_url(url).get_backend_name() == "sqlite":
        path = Path(str(make_url(url).database))
        return {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}
    looking = open_database(url, create=False, read_only=True)
    with read_transaction(looking) as connection:
        rows = {
            table.name: connection.exec_driver_sql(f"SELECT xmin::text, ctid::text, * FROM {table.name}").all()
            for table in metadata.sorted_tables
        }
    looking.dispose()
    return dict(rows)


def test_looking_leaves_a_closed_database_as_it_is(database_url: str) -> None:
    engine = open_database(database_url, create=True)
    fill(Store(engine))
    engine.dispose()
    before = stored(database_url)
    looking = open_database(database_url, create=False, read_only=True)
    assert len(Reader(looking).jobs()) == 8
    look_at_everything(Reader(looking))
    looking.dispose()
    assert stored(database_url) == before


def test_looking_leaves_what_a_killed_worker_left(database_url: str) -> None:
    run_together([["add", database_url, "5"]])
    run_together([["vanish", database_url, "w"]])
    before = stored(database_url)
    looking = open_database(database_url, create=False, read_only=True)
    assert Reader(looking).counts()["demo", "first", Status.RUNNING] == 2
    look_at_everything(Reader(looking))
    looking.dispose()
    assert stored(database_url) == before


def test_reading_waits_for_no_lock_and_sees_committed_data(store: Store, reader: Reader) -> None:
    fill(store)
    before = look_at_everything(store)
    with write_transaction(store.engine) as connection:
        connection.exec_driver_sql("UPDATE jobs SET priority = 5")
        assert look_at_everything(reader) == before
    assert {job.priority for job in reader.jobs()} == {5}


def test_a_store_opened_for_looking_cannot_write(store: Store, reader: Reader) -> None:
    fill(store)
    before = look_at_everything(store)
    with pytest.raises(DatabaseError, match="read-only"):
        Store(reader.engine).add_jobs("demo", '{"changed":1}', "first", [])
    assert look_at_everything(store) == before


def test_the_lowest_result_is_found_by_the_database(store: Store) -> None:
    add(store, [new_job(n) for n in range(7)])
    add(store, [new_job(9)], experiment="other")
    jobs = store.claim(register(store, "w"), 8)
    results: list[dict[str, object]] = [
        {"loss": 3, "note": 'a "quoted" text, {"loss": 0}', "stopped": None},
        {"loss": 1e-3, "stopped": 17},
        {"loss": None},
        {"loss": "0.5"},
        {"other": 0.1},
        {"loss": -2.5, "nested": {"loss": -9}},
        {"loss": True},
        {"loss": -7.25},
    ]
    assert store.lowest("demo", "loss", unless="stopped") is None
    for job, result in zip(jobs, results, strict=True):
        store.finish(job.claim, result, 1.0, CURVE)
    found = store.lowest("demo", "loss", unless="stopped")
    assert found is not None
    assert (found[0].id, found[0].result, found[1]) == (jobs[5].id, results[5], -2.5)
    assert store.lowest("demo", "stopped", unless="other") == (store.job(jobs[1].id), 17.0)
    assert store.lowest("demo", "missing", unless="stopped") is None
    assert store.lowest("demo", 'no "key', unless="stopped") is None
    assert store.lowest("nobody", "loss", unless="stopped") is None


def test_texts_that_no_database_keeps_do_not_hide_the_lowest_result(store: Store) -> None:
    texts: dict[str, object] = {"a\0b": "zero \0", "from": "caf\udce9.csv", "nested": [{"\0": "\0"}]}
    items = [(new_job(n), {**texts, "loss": float(n)}, 1.0) for n in (1, 2)]
    store.add_finished("demo", "{}", "first", items)
    found = store.lowest("demo", "loss", unless="stopped")
    assert found is not None
    assert found[0].result == {
        r"a\x00b": r"zero \x00",
        "from": r"caf\udce9.csv",
        "nested": [{r"\x00": r"\x00"}],
        "loss": 1.0,
    }
    assert len(store.improvements("demo", "loss", unless="stopped")) == 1


def test_improvements_are_the_best_so_far_in_the_order_of_finishing(store: Store, clock: ManualClock) -> None:
    add(store, [new_job(n) for n in range(10)])
    add(store, [new_job(1)], experiment="other")
    jobs = store.claim(register(store, "w"), 11)
    assert store.improvements("demo", "loss", unless="stopped") == []
    results: list[dict[str, object]] = [
        {"loss": 3.5},
        {"loss": 3.5},  # not better
        {"loss": 0.1, "stopped": 17},
        {"loss": None},
        {"loss": 4},
        {"loss": "0.5"},
        {"loss": True},
        {"loss": 2, "stopped": None},
        {"loss": -1e-3},
        {"other": -5.0},
    ]
    order = [9, 3, 0, 1, 2, 4, 5, 6, 7, 8]  # of finishing, which differs from the order of the ids
    for place in order:
        clock.now += 1.0
        store.finish(jobs[place].claim, results[place], 1.0, CURVE)
    store.finish(jobs[10].claim, {"loss": -9.0}, 1.0, CURVE)
    assert store.improvements("demo", "loss", unless="stopped") == [
        Improvement(3, jobs[0].id, 3.5),
        Improvement(9, jobs[7].id, 2.0),
        Improvement(10, jobs[8].id, -1e-3),
    ]
    best = store.lowest("demo", "loss", unless="stopped")
    assert best is not None
    assert (best[0].id, best[1]) == (jobs[8].id, -1e-3)
    assert store.improvements("demo", "missing", unless="stopped") == []
    assert store.improvements("demo", 'no "key', unless="stopped") == []


def test_jobs_that_finished_in_the_same_moment_count_in_the_order_of_adding(store: Store) -> None:
    add(store, [new_job(n) for n in range(3)])
    for job, loss in zip(store.claim(register(store, "w"), 3), [2.0, 3.0, 1.0], strict=True):
        store.finish(job.claim, {"loss": loss}, 1.0, CURVE)
    assert [one.place for one in store.improvements("demo", "loss", unless="stopped")] == [1, 3]


def test_failures_are_the_failed_jobs_with_their_errors(store: Store) -> None:
    add(store, [new_job(n) for n in range(3)])
    add(store, [new_job(1)], experiment="other")
    for job in store.claim(register(store, "w"), 4):
        if job.id != 2:
            fail_for_good(store, job.claim, f"Traceback\nError: {job.id}")
    assert store.failures("demo") == [(1, "Traceback\nError: 1"), (3, "Traceback\nError: 3")]
    assert store.failures("demo", 1) == [(1, "Traceback\nError: 1")]
    assert [job_id for job_id, _ in store.failures("other")] == [4]


def test_loads_are_of_workers_that_have_not_stopped(store: Store) -> None:
    add(store, [new_job(n) for n in range(6)])
    for worker, jobs in (("gone", 1), ("w", 3), ("x", 1)):
        claimed = store.claim(register(store, worker), jobs)
        store.commit_progress(claimed[0].claim, 100, 2.0, CURVE)
        if worker == "w":
            store.finish(claimed[1].claim, {"loss": 1.0}, 5.0, CURVE)
    register(store, "idle")
    store.stop_worker("gone")
    assert store.loads() == {"w": Load(2, 1100, 7.0), "x": Load(1, 100, 2.0)}
    store.release([job.claim for job in store.jobs() if job.worker_id == "x"])
    assert store.loads()["x"] == Load(0, 100, 2.0)
