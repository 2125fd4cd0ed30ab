"""Commands for tests in which several processes use one database. Run with -m, not imported.

Each prints `ready`, waits for a line on its stdin, runs its command and prints the outcome.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rnnlab.errors import ExperimentChangedError
from rnnlab.queue.database import open_database
from rnnlab.queue.liveness import WorkerLock
from rnnlab.queue.store import Store
from tests.support.store import CURVE, new_job, register


def add_jobs(url: str, count: str) -> str:
    """Create the database if it is missing and add `count` jobs. Returns how many this process added."""
    wait()
    engine = open_database(url, create=True)
    try:
        return str(Store(engine).add_jobs("demo", "{}", "first", [new_job(number) for number in range(int(count))]))
    finally:
        engine.dispose()


def define(url: str, number: str) -> str:
    """Store a version of the experiment that no other process stores, with its own job."""
    engine = open_database(url, create=False)
    try:
        store = Store(engine)
        assert store.experiment("demo") is None
        wait()
        store.add_jobs("demo", number, "first", [new_job(int(number))])
        return "stored"
    except ExperimentChangedError:
        return "changed meanwhile"
    finally:
        engine.dispose()


def open_only(url: str) -> str:
    """Open the database, which may be an older one. Returns its number of jobs."""
    wait()
    engine = open_database(url, create=False)
    try:
        return str(len(Store(engine).jobs()))
    finally:
        engine.dispose()


def claim_all(url: str, worker_id: str) -> str:
    """Claim and finish jobs, three at a time, until none is left. Returns their ids in the order of claiming."""
    engine = open_database(url, create=False)
    try:
        store = Store(engine)
        register(store, worker_id)
        wait()
        taken: list[int] = []
        while claimed := store.claim(worker_id, 3):
            taken += [job.id for job in claimed]
            for job in claimed:
                store.finish(job.claim, {"by": worker_id}, 0.5, CURVE)
        return json.dumps(taken)
    finally:
        engine.dispose()


def claim_and_vanish(url: str, worker_id: str) -> str:
    """Claim two jobs and exit without closing anything, as after a kill."""
    store = Store(open_database(url, create=False))
    register(store, worker_id)
    wait()
    store.claim(worker_id, 2)
    os._exit(0)


def claim_and_hold(url: str, workers_dir: str, worker_id: str) -> str:
    """Register with a real lock, claim two jobs, print `claimed`, and hold them until killed."""
    wait()
    store = Store(open_database(url, create=False))
    lock = WorkerLock(Path(workers_dir), worker_id)
    lock.acquire()
    store.register_worker(lock.record("cpu", now=time.time(), lease_seconds=store.lease_seconds))
    store.claim(worker_id, 2)
    print("claimed", flush=True)
    sys.stdin.readline()
    return ""


def wait() -> None:
    """Wait until the test sends a line."""
    print("ready", flush=True)
    sys.stdin.readline()


COMMANDS: dict[str, Callable[..., str]] = {
    "add": add_jobs,
    "define": define,
    "open": open_only,
    "claim": claim_all,
    "vanish": claim_and_vanish,
    "hold": claim_and_hold,
}

if __name__ == "__main__":
    print(COMMANDS[sys.argv[1]](*sys.argv[2:]), flush=True)
