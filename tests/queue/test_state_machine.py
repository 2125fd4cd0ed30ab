"""Random sequences of all operations on jobs, compared with a model that is a dictionary.

Workers claim, work, end, fall silent and die; operators send requests; old claims are reused, and must be refused.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rnnlab.errors import StaleClaimError, WorkerStoppedError
from rnnlab.queue.claim_statements import Among
from rnnlab.queue.database import open_database
from rnnlab.queue.heartbeat import rescue_dead_workers
from rnnlab.queue.job import Claim, Job, Request, Status
from rnnlab.queue.liveness import Host, LeaseWatch
from rnnlab.queue.store import Store
from tests.support.postgres_server import PostgresServer
from tests.support.store import CURVE, ManualClock, new_job, register

JOBS = 6
LEASE_SECONDS = 60.0
HERE = Host("here", "this boot")
PICK = st.integers(0, 10**6)
SOME_JOBS = st.lists(st.integers(1, JOBS + 1), min_size=1, max_size=4)  # the last one does not exist
APPLIED = {Request.PAUSE: Status.PAUSED, Request.CANCEL: Status.CANCELLED}


@dataclass
class Model:
    """What one job should look like."""

    status: Status = Status.PENDING
    epoch: int = 0
    worker_id: str | None = None
    step: int = 0
    deaths: int = 0
    failures: int = 0
    preemptions: int = 0
    priority: int = 0
    request: Request | None = None
    error: str | None = None
    finished_at: float | None = None
    events: list[str] = field(default_factory=lambda: ["added"])

    def leave(self, kind: str, now: float, *, budget_used: bool = False) -> None:
        """The worker releases the job without a result."""
        if self.request is not None:
            self.status = APPLIED[self.request]
            self.events += [kind, str(self.status)]
        else:
            self.status = Status.FAILED if budget_used else Status.PENDING
            self.events.append("failed" if budget_used else kind)
        self.finished_at = now if self.status in (Status.FAILED, Status.CANCELLED) else None
        self.request = None


def as_model(job: Job, events: Iterable[str]) -> Model:
    """The job as it is in the table."""
    error = None if job.error is None else job.error.split(":")[0]
    return Model(
        job.status,
        job.epoch,
        job.worker_id,
        job.step,
        job.deaths,
        job.failures,
        job.preemptions,
        job.priority,
        job.request,
        error,
        job.finished_at,
        list(events),
    )


class StoreMachine(RuleBasedStateMachine):
    """The store on a fresh database, and its model."""

    def __init__(self, new_url: Callable[[], str]) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.steady = ManualClock(0.0)  # monotonic: independent of changes of the clock
        self.watch = LeaseWatch(self.steady)
        self.noticed: dict[str, tuple[float, float]] = {}  # worker -> its lease, and when that was first seen
        engine = open_database(new_url(), create=True)
        self.store = Store(engine, lease_seconds=LEASE_SECONDS, clock=self.clock)
        self.model: dict[int, Model] = {}
        self.claims: list[Claim] = []  # all claims so far
        self.failed: list[Claim] = []  # those that ended with an exception
        self.leases: dict[str, float] = {}  # of live workers
        self.workers: list[str] = []  # including dead ones

    def teardown(self) -> None:
        self.store.engine.dispose()

    @initialize()
    def add(self) -> None:
        self.store.add_jobs("demo", "{}", "first", [new_job(n, group_key="ab"[n % 2]) for n in range(JOBS)])
        self.model = {job.id: Model() for job in self.store.jobs()}
        assert list(self.model) == list(range(1, JOBS + 1))

    # Workers

    @rule()
    def start_worker(self) -> None:
        worker_id = register(self.store, f"w{len(self.workers):03d}")
        self.workers.append(worker_id)
        self.leases[worker_id] = self.clock.now + LEASE_SECONDS

    @precondition(lambda self: self.workers)
    @rule(pick=PICK, limit=st.integers(1, 4), among=st.sampled_from(Among), group=st.sampled_from([None, "a", "b"]))
    def claim(self, pick: int, limit: int, among: Among, group: str | None) -> None:
        worker_id = self.workers[pick % len(self.workers)]
        options: dict[str, Any] = {"among": among, "group_key": group}
        if worker_id not in self.leases:
            with pytest.raises(WorkerStoppedError):
                self.store.claim(worker_id, limit, **options)
            return
        eligible = [
            job_id
            for job_id, model in self.model.items()
            if model.status is Status.PENDING
            and (model.epoch or among is Among.UNSUSPECTED)
            and (model.deaths >= 2) == (among is Among.SUSPECTED)
        ]
        eligible = [job_id for job_id in eligible if group in (None, self.group(job_id))]
        order = sorted(eligible, key=lambda i: (-self.model[i].priority, self.model[i].epoch == 0, i))
        expected = [job_id for job_id in order if self.group(job_id) == self.group(order[0])][:limit]
        claimed = self.store.claim(worker_id, limit, **options)
        assert [job.id for job in claimed] == expected
        for job in claimed:
            model = self.model[job.id]
            model.events.append("resumed" if model.epoch else "claimed")
            model.status, model.epoch, model.worker_id = Status.RUNNING, model.epoch + 1, worker_id
            self.claims.append(job.claim)

    def group(self, job_id: int) -> str:
        return "ab"[(job_id - 1) % 2]

    def is_valid(self, claim: Claim) -> bool:
        model = self.model[claim.job_id]
        return model.status is Status.RUNNING and (model.worker_id, model.epoch) == (claim.worker_id, claim.epoch)

    def was_last(self, claim: Claim) -> bool:
        model = self.model[claim.job_id]
        return (model.worker_id, model.epoch) == (claim.worker_id, claim.epoch)

    def held(self, worker_id: str) -> list[int]:
        return [i for i, m in self.model.items() if m.status is Status.RUNNING and m.worker_id == worker_id]

    @precondition(lambda self: self.claims)
    @rule(picks=st.lists(PICK, min_size=1, max_size=5), step=st.integers(1, 1000))
    def commit_progress(self, picks: list[int], step: int) -> None:
        claims = list(dict.fromkeys(self.claims[pick % len(self.claims)] for pick in picks))
        stale = self.store.commit_progress_many([(claim, step, 1.0, CURVE) for claim in claims])
        assert set(stale) == {claim for claim in claims if not self.is_valid(claim)}
        for claim in claims:
            model = self.model[claim.job_id]
            if self.is_valid(claim) and step > model.step:
                model.step, model.deaths = step, 0

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, end=st.sampled_from(["finish", "fail", "release", "apply_request"]), newest=st.booleans())
    def end(self, pick: int, end: str, newest: bool) -> None:
        claim = self.claims[-1] if newest else self.claims[pick % len(self.claims)]
        model, now = self.model[claim.job_id], self.clock.now
        if not self.is_valid(claim):
            if end == "release":
                assert self.store.release([claim]) == []
            elif end == "finish" and self.was_last(claim) and model.status is Status.DONE:
                self.store.finish(claim, {"another": "result"}, 9.0, CURVE)  # changes nothing
            elif end == "fail" and self.was_last(claim) and claim in self.failed:
                assert self.store.fail(claim, "exception: here") is model.status  # counts once
            elif end == "apply_request" and self.was_last(claim) and model.status in APPLIED.values():
                assert self.store.apply_request(claim) is model.status
            else:
                with pytest.raises(StaleClaimError):
                    self.end_with(claim, end)
            return
        told = self.end_with(claim, end)
        if end == "finish":
            model.status, model.step, model.deaths, model.request, model.finished_at = Status.DONE, 1000, 0, None, now
            model.events.append("finished")
        elif end == "release":
            assert told == [claim]
            model.preemptions += 1
            model.leave("released", now)
        elif end == "fail":
            model.failures, model.error = model.failures + 1, "exception"
            model.leave("excepted", now, budget_used=model.failures >= 2)
            self.failed.append(claim)
            assert told is model.status
        elif model.request is None:
            assert told is None
        else:
            assert told is APPLIED[model.request]
            model.leave("", now)
            model.events.remove("")

    def end_with(self, claim: Claim, end: str) -> object:
        ends: dict[str, Callable[[], object]] = {
            "finish": lambda: self.store.finish(claim, {}, 1.0, CURVE),
            "fail": lambda: self.store.fail(claim, "exception: here"),
            "release": lambda: self.store.release([claim]),
            "apply_request": lambda: self.store.apply_request(claim),
        }
        return ends[end]()

    @precondition(lambda self: self.leases)
    @rule(pick=PICK)
    def stop_worker(self, pick: int) -> None:
        worker_id = sorted(self.leases)[pick % len(self.leases)]
        for job_id in self.held(worker_id):
            self.model[job_id].preemptions += 1
            self.model[job_id].leave("released", self.clock.now)
        self.store.stop_worker(worker_id)
        del self.leases[worker_id]

    @precondition(lambda self: self.workers)
    @rule(pick=PICK)
    def rescue(self, pick: int) -> None:
        worker_id = self.workers[pick % len(self.workers)]
        assert self.store.rescue(worker_id, "gone") == self.die(worker_id)

    def die(self, worker_id: str) -> list[int]:
        """What a rescue does to the model: the jobs that it takes."""
        held = self.held(worker_id)
        for job_id in held:
            model = self.model[job_id]
            model.deaths += 1
            too_many = model.deaths >= (2 if len(held) == 1 else 3)
            if model.request is None and too_many:
                model.error = "quarantined"
            model.leave("rescued", self.clock.now, budget_used=too_many)
        self.leases.pop(worker_id, None)
        return held

    @rule(seconds=st.sampled_from([1.0, 25.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds
        self.steady.now += seconds

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def clock_is_set(self, seconds: float) -> None:
        self.clock.now += seconds

    @precondition(lambda self: self.workers)
    @rule(pick=PICK)
    def heartbeat(self, pick: int) -> None:
        worker_id = self.workers[pick % len(self.workers)]
        assert self.store.heartbeat(worker_id) == (worker_id in self.leases)
        if worker_id in self.leases:
            self.leases[worker_id] = self.clock.now + LEASE_SECONDS

    @precondition(lambda self: self.leases)
    @rule(pick=PICK)
    def look_for_the_dead(self, pick: int) -> None:
        me = sorted(self.leases)[pick % len(self.leases)]
        silent = []
        for worker_id in sorted(self.leases.keys() - {me}):
            lease, since = self.noticed.get(worker_id, (None, 0.0))
            if lease != self.leases[worker_id]:
                self.noticed[worker_id] = (self.leases[worker_id], self.steady.now)
            elif self.steady.now - since > LEASE_SECONDS:
                silent.append(worker_id)
        expected = sorted(job_id for worker_id in silent for job_id in self.die(worker_id))
        assert sorted(rescue_dead_workers(self.store, HERE, self.watch, me=me)) == expected

    # Operators

    def tell(self, before: Model | None, after: Model | None) -> str:
        """The outcome of an action on a job, in words."""
        if before is None or after is None:
            return "no such job"
        if after.priority != before.priority:
            return "has the new priority"
        if after.status is Status.RUNNING and after.request is not None:
            word = "paused" if after.request is Request.PAUSE else "cancelled"
            return f"running, will be {word} after its next checkpoint"
        if before == after:
            return f"left as it is: {after.status}"
        told = {Status.PENDING: "pending again", Status.RUNNING: "running, continues"}
        return told.get(after.status, str(after.status))

    def act(self, outcomes: dict[int, Any], ids: list[int], change: Callable[[Model], str | None]) -> None:
        """Compare the outcomes of an action with what `change` makes of the model; it returns the event."""
        expected = {}
        for job_id in dict.fromkeys(ids):
            model = self.model.get(job_id)
            before = None if model is None else replace(model, events=list(model.events))
            event = None if model is None else change(model)
            expected[job_id] = self.tell(before, model)
            if model is not None and event is not None:
                model.events.append(event)
        assert outcomes == expected

    @rule(ids=SOME_JOBS)
    def pause(self, ids: list[int]) -> None:
        def change(model: Model) -> str | None:
            if model.status is Status.PENDING:
                model.status = Status.PAUSED
                return "paused"
            if model.status is Status.RUNNING and model.request is None:
                model.request = Request.PAUSE
                return "asked"
            return None

        self.act(self.store.pause(ids), ids, change)

    @rule(ids=SOME_JOBS)
    def resume(self, ids: list[int]) -> None:
        def change(model: Model) -> str | None:
            if model.status is Status.PAUSED:
                model.status = Status.PENDING
                return "unpaused"
            if model.request is Request.PAUSE:
                model.request = None
                return "unasked"
            return None

        self.act(self.store.resume(ids), ids, change)

    @rule(ids=SOME_JOBS)
    def cancel(self, ids: list[int]) -> None:
        def change(model: Model) -> str | None:
            if model.status in (Status.PENDING, Status.PAUSED, Status.FAILED):
                model.status, model.finished_at = Status.CANCELLED, self.clock.now
                return "cancelled"
            if model.status is Status.RUNNING and model.request is not Request.CANCEL:
                model.request = Request.CANCEL
                return "asked"
            return None

        self.act(self.store.cancel(ids), ids, change)

    def again(self, *statuses: Status) -> Callable[[Model], str | None]:
        def change(model: Model) -> str | None:
            if model.status not in statuses:
                return None
            model.status, model.deaths, model.failures = Status.PENDING, 0, 0
            model.error = model.finished_at = None
            return "retried"

        return change

    @rule(ids=SOME_JOBS)
    def retry(self, ids: list[int]) -> None:
        self.act(self.store.retry(ids), ids, self.again(Status.FAILED, Status.CANCELLED))

    @rule()
    def retry_all_failed(self) -> None:
        failed = [job_id for job_id, model in self.model.items() if model.status is Status.FAILED]
        self.act(self.store.retry(), failed, self.again(Status.FAILED))

    @rule(ids=SOME_JOBS, priority=st.integers(-1, 1))
    def set_priority(self, ids: list[int], priority: int) -> None:
        def change(model: Model) -> str | None:
            if model.status is Status.DONE or model.priority == priority:
                return None
            model.priority = priority
            return "reprioritised"

        self.act(self.store.set_priority(ids, priority), ids, change)

    # Invariants

    @invariant()
    def the_table_is_the_model(self) -> None:
        kinds: dict[int, list[str]] = {job_id: [] for job_id in self.model}
        for event in self.store.events(limit=None):
            kinds[event.job_id].append(event.kind)
        assert {job.id: as_model(job, kinds[job.id]) for job in self.store.jobs()} == self.model

    @invariant()
    def the_other_looks_agree(self) -> None:
        statuses = [model.status for model in self.model.values()]
        counts = {("demo", "first", status): statuses.count(status) for status in statuses}
        assert self.store.counts() == counts
        assert self.store.any_open() == (Status.PENDING in statuses or Status.RUNNING in statuses)
        assert {worker.id for worker in self.store.workers(alive_only=True)} == self.leases.keys()
        for worker_id in self.leases:
            held = self.held(worker_id)
            assert [claim.job_id for claim in self.store.held_by(worker_id)] == held
            assert self.store.requests(worker_id) == {i: w for i in held if (w := self.model[i].request) is not None}


def check(new_url: Callable[[], str], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: StoreMachine(new_url),  # type: ignore[arg-type]  # it accepts any callable that makes a machine
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_on_sqlite(tmp_path: Path) -> None:
    numbers = iter(range(10**6))
    check(lambda: f"sqlite:///{tmp_path / str(next(numbers))}.db", examples=40, steps=40)


def test_on_postgresql(postgres_server: PostgresServer) -> None:
    name = postgres_server.create_database()

    def new_url() -> str:
        postgres_server.empty_database(name)
        return postgres_server.url(name)

    check(new_url, examples=10, steps=30)
    postgres_server.drop_database(name)
