"""What the parts of a worker share."""

import threading
from dataclasses import dataclass

import torch

from rnnlab.errors import RnnlabError
from rnnlab.files import Workspace
from rnnlab.queue.retry_policy import RetryPolicy
from rnnlab.queue.store import Store
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import TrainingContext
from rnnlab.worker.worker_options import WorkerOptions, WorkerView

# Errors that no job causes, such as a missing text or a broken device. They end the worker and do not fail a job.
WORKER_ERRORS = (RnnlabError, torch.AcceleratorError)


@dataclass
class JobCounts:
    """Jobs that a worker has ended, over all its sessions."""

    finished: int = 0  # with a result
    failed: int = 0  # with an exception that used up the budget of the job

    @property
    def ended(self) -> int:
        """All jobs that the worker has ended."""
        return self.finished + self.failed


@dataclass(frozen=True)
class WorkerContext:
    """What the parts of one worker session use. A worker that is declared dead starts another session."""

    worker_id: str  # name of this session in the table, 12 hexadecimal digits
    store: Store  # with its own connections and a short timeout
    workspace: Workspace  # results and plots folders
    options: WorkerOptions
    view: WorkerView
    training: TrainingContext  # shared by all sessions of the worker, as are the next three
    cohort_sizes: CohortSizes
    counts: JobCounts
    stop_requested: threading.Event  # set from outside to stop the worker gracefully
    lease_lost: threading.Event  # set by the heartbeat of this session
    retry: RetryPolicy  # of this session; calls to the store go through it
