"""An experiment whose jobs stand everywhere that a job can stand."""

import math
import tomllib
from dataclasses import dataclass

import pytest

from rnnlab.actions.export.exported_runs import ExportedRuns, read_runs
from rnnlab.plans.enqueue import initialize, new_jobs
from rnnlab.plans.plan import Plan
from rnnlab.queue.job import Curve, Job, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.settings import CorpusSettings
from tests.support.store import fail_for_good

CURVE = Curve([5, 10, 15, 20], {"ema_loss": [2.9, 2.5000000000000004, 2.2, 0.1 + 0.2]})
RESULT = {
    "min_loss": 0.1 + 0.2,
    "parameters": 1234,
    "diverged_at_step": None,
    "git_dirty": False,
    "device": "cpu",
    "code": 7,  # a number here, a text elsewhere
}


@dataclass(frozen=True)
class Stand:
    """The table, and the jobs of its first round by where they stand."""

    store: Store
    jobs: dict[str, Job]

    @property
    def runs(self) -> ExportedRuns:
        return read_runs(self.store, "small")


@pytest.fixture
def stand(store: Store, small_toml: str) -> Stand:
    """Eight jobs, each of which stands elsewhere, and one of the second round, imported."""
    text = small_toml.replace("learning_rate = 1e-3\n", "").replace("[grid]", "[grid]\nlearning_rate = [1e-3, 1e-2]")
    plan = Plan(parse_experiment(tomllib.loads(text), "x.toml"), CorpusSettings(name="text", sha256="a" * 64))
    initialize(store, plan)
    ids = [job.id for job in store.jobs("small")]
    store.pause(ids[6:7])
    store.cancel(ids[7:])
    now = store.clock()
    store.register_worker(WorkerRecord("worker", "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    claimed: list[Job] = []
    while some := store.claim("worker", 1):
        claimed += some
    by_id = {job.id: job for job in claimed}
    done, diverged, unmeasured, failed, running, pending = (by_id[job_id].claim for job_id in ids[:6])
    store.finish(done, RESULT, 4.0, CURVE)
    broken = Curve([5, 10], {"ema_loss": [3.1, math.nan]})
    store.finish(diverged, {"min_loss": 3.1, "diverged_at_step": 9, "code": "7f"}, 1.5, broken, step=9)
    store.finish(unmeasured, {"min_loss": None}, 1.0, Curve())
    fail_for_good(store, failed, 'Traceback\n  File "x"\nValueError: no, "never"')
    store.commit_progress(running, 10, 2.0, Curve([5, 10], {"ema_loss": [2.8, 2.6]}))
    store.release([pending])
    refined = plan.first_round[0].with_settings({"windows": 3})
    store.add_finished("small", plan.json, "refine", [(new_jobs([refined])[0], {"min_loss": 0.25}, 8.0)])
    names = ["done", "diverged", "unmeasured", "failed", "running", "pending", "paused", "cancelled"]
    return Stand(store, dict(zip(names, store.jobs("small", "explore"), strict=True)))
