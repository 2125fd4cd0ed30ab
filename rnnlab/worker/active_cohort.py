"""Jobs in training: a place for each, and the team of those whose cohort trains them together."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rnnlab.queue.job import Job
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Cohort, Member


@dataclass
class Place:
    """One job in training."""

    job: Job
    config: RunConfig
    run_dir: Path
    seconds: float  # time in training so far, that of earlier claims included

    def log(self, text: str) -> None:
        """One line, or a traceback, in the job's own log. It is for people: a full disk must not stop the job."""
        with contextlib.suppress(OSError):
            self.run_dir.mkdir(parents=True, exist_ok=True)
            with (self.run_dir / "log.txt").open("a", encoding="utf-8") as stream:
                stream.write(f"{datetime.now().astimezone().isoformat(timespec='milliseconds')} {text}\n")


Trainee = tuple[Place, Member]  # a job, and its run as it stands


@dataclass
class Team:
    """A cohort and its places, in the same order. Members with equal group keys, or one job alone."""

    places: Sequence[Place]
    cohort: Cohort
    checkpoint_at: float  # time.monotonic() of the next checkpoint
    alone: bool = False  # retraining after an exception of its cohort: nobody joins
    on_trial: bool = False  # its workers died and died: until it has made progress, this one trains nothing else

    @property
    def group_key(self) -> str:
        """What the members share."""
        return self.places[0].config.group_key

    def trainees(self) -> list[Trainee]:
        """The jobs with their runs as they stand, copied out of the cohort."""
        return list(zip(self.places, self.cohort.members(), strict=True))
