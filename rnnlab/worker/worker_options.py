"""What a user may say about a worker, and where the worker says what happens."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from rnnlab.queue.job import Job


@dataclass(frozen=True)
class WorkerOptions:
    """What a user may say about one worker."""

    device: torch.device
    experiment: str | None = None  # claim jobs of this experiment only
    cohort_size: int | None = None  # jobs trained at once; None: what suits the device
    max_jobs: int | None = None  # end after this many jobs
    watch: bool = False  # stay when nothing is left to do
    checkpoint_seconds: float = 60.0  # between two checkpoints of a job
    heartbeat_seconds: float = 10.0  # between two renewals of the lease
    allow_code: bool = False  # run the code of own cells


class WorkerView(Protocol):
    """Where a worker says what happens: a terminal, a log, nothing."""

    def message(self, text: str) -> None:
        """Something that a person wants to know."""

    def block_done(self, training: int, steps: int, seconds: float) -> None:
        """`training` jobs made `steps` steps each in `seconds`."""

    def job_done(self, job: Job, result: dict[str, Any]) -> None:
        """A job ended with this result."""
