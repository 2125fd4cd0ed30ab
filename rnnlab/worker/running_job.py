"""A job that a worker has claimed, and its run at one point of the training."""

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rnnlab.queue.job import Job
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Member


@dataclass
class RunningJob:
    """A claimed job, loaded for training."""

    job: Job
    config: RunConfig  # parsed from the payload of the job
    run_dir: Path  # folder of its checkpoints and its log
    seconds: float  # time in training so far, including earlier claims

    def log(self, text: str) -> None:
        """Append a line or a traceback to the job's log. Errors are ignored: a full disk must not stop the job."""
        with contextlib.suppress(OSError):
            self.run_dir.mkdir(parents=True, exist_ok=True)
            with (self.run_dir / "log.txt").open("a", encoding="utf-8") as stream:
                stream.write(f"{datetime.now().astimezone().isoformat(timespec='milliseconds')} {text}\n")


@dataclass(frozen=True)
class JobSnapshot:
    """A running job and its run at one step, independent of the cohort that trains it."""

    running: RunningJob
    member: Member

    @property
    def is_finished(self) -> bool:
        """Whether the run has reached its target or diverged."""
        return self.member.state.is_finished(self.running.config)
