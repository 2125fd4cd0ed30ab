"""The heartbeat thread: it survives a locked database, detects a lost lease, and finds dead workers."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnlab.queue.heartbeat import Heartbeat
from rnnlab.queue.job import Status
from rnnlab.queue.liveness import WorkerLock, this_host
from rnnlab.queue.store import Store
from tests.support.store import ManualClock, add, everything_locked, new_job, register, start_child

DEADLINE_SECONDS = 60.0
Start = Callable[..., Heartbeat]


@pytest.fixture
def start(store: Store) -> Iterator[Start]:
    """Starts heartbeats, and stops them at the end of the test."""
    running: list[Heartbeat] = []

    def start_one(of: Store, worker_id: str, **callbacks: Any) -> Heartbeat:
        heartbeat = Heartbeat(of, worker_id, heartbeat_seconds=0.02, probe_seconds=0.02, steady=of.clock, **callbacks)
        running.append(heartbeat)
        heartbeat.start()
        return heartbeat

    yield start_one
    for heartbeat in running:
        heartbeat.stop()
        assert not heartbeat.is_alive()


def has_seen(heartbeat: Heartbeat, worker_id: str) -> bool:
    """Whether the heartbeat has seen the lease of that worker; it measures the silence from then on."""
    return worker_id in heartbeat._watch._seen


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


def lease_of(store: Store, worker_id: str) -> float:
    [record] = [worker for worker in store.workers() if worker.id == worker_id]
    return record.lease_until


def test_it_renews_the_lease(store: Store, clock: ManualClock, start: Start) -> None:
    heartbeat = start(store, register(store, "me"))
    clock.now += 50
    eventually(lambda: lease_of(store, "me") == clock.now + 60)
    assert not heartbeat.lost.is_set()


def test_it_survives_a_locked_database(store: Store, clock: ManualClock, start: Start) -> None:
    store = Store(store.engine, lease_seconds=1.2, clock=clock)  # a short lease: it waits 0.1 s for a lock
    errors: list[Exception] = []
    heartbeat = start(store, register(store, "me"), on_error=errors.append)
    with everything_locked(store.engine):
        eventually(lambda: len(errors) >= 3)
        assert "locked" in str(errors[0])
        assert not heartbeat.lost.is_set()
        clock.now += 0.5
    eventually(lambda: lease_of(store, "me") == clock.now + 1.2)
    assert not heartbeat.lost.is_set()


def test_it_sets_lost_when_the_lease_expires(store: Store, clock: ManualClock, start: Start) -> None:
    store = Store(store.engine, lease_seconds=1.2, clock=clock)
    heartbeat = start(store, register(store, "me"))
    with everything_locked(store.engine):
        clock.now += 2
        assert heartbeat.lost.wait(DEADLINE_SECONDS)
    eventually(lambda: lease_of(store, "me") == clock.now + 1.2)
    assert heartbeat.lost.is_set()


def test_it_sets_lost_when_the_worker_was_declared_dead(store: Store, start: Start) -> None:
    heartbeat = start(store, register(store, "me"))
    store.rescue("me", "looked dead")
    assert heartbeat.lost.wait(DEADLINE_SECONDS)


def test_no_exception_ends_it(store: Store, clock: ManualClock, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, [new_job(1)])
    register(store, "silent")
    store.claim("silent", 1)
    errors: list[Exception] = []
    renew, failures = Store.heartbeat, iter([ValueError("one"), OSError("two")])

    def unreliable(self: Store, worker_id: str) -> bool:
        for failure in failures:
            raise failure
        return renew(self, worker_id)

    def on_error(error: Exception) -> None:
        errors.append(error)
        raise RuntimeError("broken callback")

    def on_rescue(ids: list[int]) -> None:
        raise KeyError(ids[0])

    monkeypatch.setattr(Store, "heartbeat", unreliable)
    register(store, "me")
    heartbeat = start(store, "me", on_error=on_error, on_rescue=on_rescue)
    eventually(lambda: len(errors) >= 2)
    eventually(lambda: has_seen(heartbeat, "silent"))
    clock.now += 61
    eventually(lambda: len(errors) >= 3)
    assert [str(error) for error in errors] == ["one", "two", "1"]
    assert heartbeat.is_alive()


def test_it_rescues_the_jobs_of_a_killed_process(store: Store, database_url: str, tmp_path: Path, start: Start) -> None:
    ids = add(store, [new_job(n) for n in range(3)])
    rescued: list[int] = []
    with WorkerLock(tmp_path / "workers", "me") as lock:
        store.register_worker(lock.record("cpu", now=store.clock(), lease_seconds=60.0))
        start(store, "me", on_rescue=rescued.extend)
        child = start_child("hold", database_url, str(tmp_path / "workers"), "child")
        assert child.stdout is not None and child.stdin is not None
        try:
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("go\n")
            child.stdin.flush()
            assert child.stdout.readline() == "claimed\n"
            time.sleep(0.2)  # time for some probes of a live worker
            assert rescued == []
            assert store.counts()["demo", "first", Status.RUNNING] == 2
        finally:
            child.kill()
            child.communicate()
        eventually(lambda: rescued == ids[:2])
        assert store.pending_count() == 3
        eventually(lambda: [path.name for path in (tmp_path / "workers").iterdir()] == ["me.lock"])
        assert {worker.host for worker in store.workers()} == {this_host().name}


def test_several_workers_rescue_a_dead_one_once(store: Store, clock: ManualClock, start: Start) -> None:
    ids = add(store, [new_job(n) for n in range(4)])
    register(store, "silent")
    store.claim("silent", 4)
    rescued: list[int] = []
    lock = threading.Lock()

    def note(job_ids: list[int]) -> None:
        with lock:
            rescued.extend(job_ids)

    beating = [start(store, register(store, f"w{number}"), on_rescue=note) for number in range(3)]
    eventually(lambda: all(has_seen(heartbeat, "silent") for heartbeat in beating))
    clock.now += 59
    time.sleep(0.2)
    clock.now += 2
    eventually(lambda: len(rescued) >= 4)
    time.sleep(0.1)
    assert sorted(rescued) == ids
    assert {job.deaths for job in store.jobs()} == {1}
