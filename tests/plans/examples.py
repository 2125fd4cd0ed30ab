"""Plans and results that several tests of this room use."""

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from rnnlab.plans.plan import Plan
from rnnlab.queue.job import Curve, Job, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.settings import CorpusSettings
from tests.support.store import fail_for_good

AXIS = "n_layers = [1, 2]"


def plan_of(text: str, letter: str = "a") -> Plan:
    """The experiment on a corpus that does not exist on this machine."""
    corpus = CorpusSettings(name=f"text-{letter}", sha256=letter * 64)
    return Plan(parse_experiment(tomllib.loads(text), "x.toml"), corpus)


def rows(store: Store) -> dict[int, Job]:
    """All jobs of the table, by id."""
    return {job.id: job for job in store.jobs()}


def finish(store: Store, result_of: Callable[[Job], Mapping[str, Any] | None], round_name: str) -> None:
    """Finish every pending job of a round with its result, or fail it if the result is None."""
    worker = f"worker-{len(store.workers())}"
    now = store.clock()
    store.register_worker(WorkerRecord(worker, "here", "", 1, "cpu", "/nowhere", now, now, now + 60, None))
    claimed: list[Job] = []
    while some := store.claim(worker, 1000):
        claimed += some
    for job in claimed:
        result = result_of(job)
        if job.round != round_name:
            store.release([job.claim])
        elif result is None:
            fail_for_good(store, job.claim, "Traceback: no luck")
        else:
            store.finish(job.claim, result, 1.0, Curve())
    store.stop_worker(worker)


def by_place(job: Job) -> dict[str, Any]:
    """A result that is lower for earlier jobs."""
    return {"min_loss": 1.0 + job.id / 1000, "diverged_at_step": None}
