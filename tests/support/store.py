"""Jobs, workers and processes for the tests of the store."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from rnnlab.queue.claim_statements import Among
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Claim, Curve, NewJob, Status, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.queue.transactions import write_transaction
from tests.support.paths import ROOT

CURVE = Curve([0, 100], {"ema_loss": [2.5, 2.25]})


class ManualClock:
    """A clock that stands still until a test moves it; seconds since 1970."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def new_job(number: int, group_key: str = "g", priority: int = 0, target_steps: int = 1000) -> NewJob:
    """The job with this number; equal numbers give equal jobs."""
    payload = f'{{"seed":{number}}}'
    return NewJob(hashlib.sha256(payload.encode()).hexdigest(), payload, group_key, target_steps, priority)


def add(store: Store, jobs: Iterable[NewJob], experiment: str = "demo", round_name: str = "first") -> list[int]:
    """Add jobs to a round. Returns the ids of all jobs of the round."""
    store.add_jobs(experiment, "{}", round_name, jobs, instead_of=store.experiment(experiment))
    return [job.id for job in store.jobs(experiment, round_name)]


def register(store: Store, worker_id: str, *, host: str = "elsewhere", boot_id: str = "") -> str:
    """Register a worker of another host, so that only its lease shows whether it is alive."""
    now = store.clock()
    store.register_worker(
        WorkerRecord(
            id=worker_id,
            host=host,
            boot_id=boot_id,
            pid=os.getpid(),
            device="cpu",
            lock_path="/nowhere/worker.lock",
            started_at=now,
            heartbeat_at=now,
            lease_until=now + store.lease_seconds,
            stopped_at=None,
        )
    )
    return worker_id


def fail_for_good(store: Store, claim: Claim, error: str = "Traceback") -> None:
    """Let a job raise exceptions until its budget is used up; its worker claims it again each time."""
    while store.fail(claim, error) is Status.PENDING:
        for job in store.claim(claim.worker_id, 10_000, among=Among.STARTED):
            if job.id == claim.job_id:
                claim = job.claim
            else:
                store.release([job.claim])


def kinds(store: Store, job_id: int) -> list[str]:
    """The kinds of the events of one job."""
    return [event.kind for event in store.events(job_id, limit=None)]


@contextmanager
def opened(url: str, *, create: bool = False, read_only: bool = False) -> Iterator[Engine]:
    """The database at an address, closed at the end."""
    engine = open_database(url, create=create, read_only=read_only)
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def everything_locked(engine: Engine) -> Iterator[None]:
    """Hold the locks of a long write transaction."""
    with write_transaction(engine) as connection:
        if connection.dialect.name != "sqlite":  # SQLite has one lock for all, taken at the start
            connection.exec_driver_sql("LOCK TABLE workers, jobs IN EXCLUSIVE MODE")
        yield


def start_child(*arguments: str) -> "subprocess.Popen[str]":
    """Start a process that runs one of the commands of children.py; it waits for a line on its stdin."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", f"{__package__}.children", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_together(commands: Iterable[list[str]]) -> list[str]:
    """Start one process per command and let all run at the same time. Returns the output of each."""
    children = [start_child(*command) for command in commands]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", child.communicate()[1]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        outputs = [child.communicate(timeout=120) for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    for child, (_, errors) in zip(children, outputs, strict=True):
        assert (child.returncode, errors) == (0, "")
    return [output for output, _ in outputs]
