"""The context of a worker session on a real job table, without a process, a heartbeat or a lock file."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from rnnlab.files import Workspace
from rnnlab.queue.job import Job
from rnnlab.queue.liveness import host_name
from rnnlab.queue.retry_policy import RetryPolicy
from rnnlab.queue.store import Store
from rnnlab.training.cohort import Cohort
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import TrainingContext
from rnnlab.worker.active_cohort import ActiveCohort
from rnnlab.worker.running_job import RunningJob
from rnnlab.worker.worker_context import JobCounts, WorkerContext
from rnnlab.worker.worker_options import WorkerOptions
from tests.support.store import register

# Eight jobs of one group, of 20 steps each.
ONE_GROUP = """\
name = "small"
corpus = "generated"

[model]
cell = "gated"
state_size = 4
n_layers = 1

[training]
batch_size = 2
window_length = 11
windows = 2
record_every = 5

[grid]
learning_rate = [1e-3, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3]
"""


@dataclass
class RecordingView:
    """Keeps what a worker reports."""

    messages: list[str] = field(default_factory=list)
    done: list[int] = field(default_factory=list)  # ids of the jobs that ended with a result

    def message(self, text: str) -> None:
        self.messages.append(text)

    def block_done(self, training: int, steps: int, seconds: float) -> None:
        """Not needed."""

    def job_done(self, job: Job, result: dict[str, Any]) -> None:
        self.done.append(job.id)


def worker_context(
    store: Store, workspace: Workspace, *, worker_id: str = "w", view: RecordingView | None = None, **options: Any
) -> WorkerContext:
    """The context of a session that has just registered as `worker_id`; `options`: as of WorkerOptions."""
    view = view or RecordingView()
    training = TrainingContext(torch.device("cpu"))
    stop_requested, lease_lost = threading.Event(), threading.Event()
    return WorkerContext(
        worker_id=register(store, worker_id, host=host_name()),
        store=store,
        workspace=workspace,
        options=WorkerOptions(training.device, **options),
        view=view,
        training=training,
        cohort_sizes=CohortSizes(training),
        counts=JobCounts(),
        stop_requested=stop_requested,
        lease_lost=lease_lost,
        retry=RetryPolicy.for_worker(view.message, stop_requested, lease_lost),
    )


def in_training(jobs: Sequence[RunningJob]) -> ActiveCohort:
    """An active cohort of these jobs, for code that does not train it."""
    return ActiveCohort(jobs, cast(Cohort, object()), checkpoint_at=0.0)
