"""The options of a worker, and the interface through which it reports."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from rnnlab.queue.job import Job


@dataclass(frozen=True)
class WorkerOptions:
    """The options of one worker."""

    device: torch.device
    experiment: str | None = None  # claim only jobs of this experiment; None: of all
    cohort_size: int | None = None  # jobs trained at once, >= 1; None: what suits the device
    max_jobs: int | None = None  # end after this many jobs, >= 1; None: no limit
    watch: bool = False  # wait for new jobs when no job is left
    checkpoint_seconds: float = 60.0  # time between two checkpoints of a job, >= 0
    heartbeat_seconds: float = 10.0  # time between two renewals of the lease, > 0
    allow_code: bool = False  # execute the code of users' own cells


class WorkerView(Protocol):
    """Where a worker reports: a terminal, a log, nothing."""

    def message(self, text: str) -> None:
        """Report a message for people, one line."""

    def block_done(self, training: int, steps: int, seconds: float) -> None:
        """Report that `training` jobs made `steps` steps each in `seconds`."""

    def job_done(self, job: Job, result: dict[str, Any]) -> None:
        """Report that a job ended with this result."""
