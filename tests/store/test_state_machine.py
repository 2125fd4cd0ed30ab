"""Random sequences of operations, compared with a model that is a dictionary."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rnnlab.errors import StaleClaimError
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Claim, Status
from rnnlab.queue.store import Store

from .helpers import CURVE, ManualClock, new_job, register

JOBS = 6
PICK = st.integers(0, 10**6)


@dataclass
class Model:
    """What one job should look like."""

    status: Status = Status.PENDING
    epoch: int = 0
    worker_id: str | None = None
    step: int = 0
    deaths: int = 0
    events: int = 1


class StoreMachine(RuleBasedStateMachine):
    """Workers claim, work, end and die; old claims are used again and again, and must be refused."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store(open_database(self.folder / "rnnlab.db", create=True), clock=ManualClock())
        self.store.add_jobs("demo", "{}", "first", [new_job(n, group_key="ab"[n % 2]) for n in range(JOBS)])
        self.model = {job.id: Model() for job in self.store.jobs()}
        self.claims: list[Claim] = []
        self.workers: list[str] = []
        self.started = 0

    def teardown(self) -> None:
        self.store.engine.dispose()
        shutil.rmtree(self.folder)

    @rule()
    def start_worker(self) -> None:
        self.started += 1
        self.workers.append(register(self.store, f"w{self.started:03d}"))

    @precondition(lambda self: self.workers)
    @rule(pick=PICK, limit=st.integers(1, 4))
    def claim(self, pick: int, limit: int) -> None:
        worker_id = self.workers[pick % len(self.workers)]
        order = sorted(
            (job_id for job_id, model in self.model.items() if model.status is Status.PENDING),
            key=lambda job_id: (self.model[job_id].epoch == 0, job_id),
        )
        expected = [job_id for job_id in order if job_id % 2 == order[0] % 2][:limit]
        claimed = self.store.claim(worker_id, limit)
        assert [job.id for job in claimed] == expected
        for job in claimed:
            model = self.model[job.id]
            model.status, model.epoch, model.worker_id = Status.RUNNING, model.epoch + 1, worker_id
            model.events += 1
            self.claims.append(job.claim)

    def is_valid(self, claim: Claim) -> bool:
        model = self.model[claim.job_id]
        return model.status is Status.RUNNING and (model.worker_id, model.epoch) == (claim.worker_id, claim.epoch)

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, step=st.integers(1, 1000))
    def commit_progress(self, pick: int, step: int) -> None:
        claim = self.claims[pick % len(self.claims)]
        if not self.is_valid(claim):
            with pytest.raises(StaleClaimError):
                self.store.commit_progress(claim, step, 1.0, CURVE)
            return
        self.store.commit_progress(claim, step, 1.0, CURVE)
        model = self.model[claim.job_id]
        if step > model.step:
            model.step, model.deaths = step, 0

    @precondition(lambda self: self.claims)
    @rule(pick=PICK, end=st.sampled_from(["finish", "fail", "release"]))
    def end(self, pick: int, end: str) -> None:
        claim = self.claims[pick % len(self.claims)]
        valid, model = self.is_valid(claim), self.model[claim.job_id]
        if end == "release":
            assert self.store.release([claim]) == ([claim] if valid else [])
        elif valid:
            self.finish_or_fail(claim, end)
        else:
            with pytest.raises(StaleClaimError):
                self.finish_or_fail(claim, end)
        if valid:
            model.status = {"finish": Status.DONE, "fail": Status.FAILED, "release": Status.PENDING}[end]
            model.events += 1
            if end == "finish":
                model.step, model.deaths = 1000, 0

    def finish_or_fail(self, claim: Claim, end: str) -> None:
        if end == "finish":
            self.store.finish(claim, {}, 1.0, CURVE)
        else:
            self.store.fail(claim, "error")

    @precondition(lambda self: self.workers)
    @rule(pick=PICK)
    def rescue(self, pick: int) -> None:
        worker_id = self.workers.pop(pick % len(self.workers))
        held = [job_id for job_id, m in self.model.items() if m.status is Status.RUNNING and m.worker_id == worker_id]
        assert self.store.rescue(worker_id, "gone") == held
        for job_id in held:
            model = self.model[job_id]
            model.deaths, model.events = model.deaths + 1, model.events + 1
            model.status = Status.FAILED if model.deaths >= 2 else Status.PENDING

    @rule()
    def retry(self) -> None:
        failed = [model for model in self.model.values() if model.status is Status.FAILED]
        assert self.store.retry_failed() == len(failed)
        for model in failed:
            model.status, model.deaths, model.events = Status.PENDING, 0, model.events + 1

    @invariant()
    def the_table_is_the_model(self) -> None:
        events = [event.job_id for event in self.store.events(limit=None)]
        for job in self.store.jobs():
            table = Model(job.status, job.epoch, job.worker_id, job.step, job.deaths, events.count(job.id))
            assert table == self.model[job.id]
        assert self.store.still_owned(self.claims) == {claim for claim in self.claims if self.is_valid(claim)}


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
