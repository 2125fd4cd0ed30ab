"""Speeds of the jobs trained so far, and the resulting cost of further jobs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnnlab.queue.job import NewJob, Status
from rnnlab.queue.reader import Progress


class MeasuredSpeed:
    """Training speed of one worker, by group. Imported jobs are excluded, because they were trained elsewhere."""

    def __init__(self, progress: Iterable[Progress]) -> None:
        self._steps: dict[str, float] = defaultdict(float)
        self._seconds: dict[str, float] = defaultdict(float)
        for row in progress:
            if row.trained_here:
                self._steps[row.group_key] += row.step
                self._seconds[row.group_key] += row.seconds
        self.mean = ratio(sum(self._steps.values()), sum(self._seconds.values()))  # model-steps per second

    def of(self, group_key: str) -> float | None:
        """Model-steps per second of a group; None if it has not been trained here."""
        return ratio(self._steps.get(group_key, 0.0), self._seconds.get(group_key, 0.0))

    def seconds_left(self, progress: Sequence[Progress]) -> float | None:
        """Remaining seconds of one worker: each group at its own speed, unmeasured groups at the mean speed."""
        if self.mean is None:
            return None
        open_rows = [row for row in progress if row.status in (Status.PENDING, Status.RUNNING)]
        return sum((row.target_steps - row.step) / (self.of(row.group_key) or self.mean) for row in open_rows)


@dataclass(frozen=True)
class Cost:
    """The expected cost of a set of jobs."""

    steps: int  # optimizer steps of all jobs
    seconds: float  # time of one worker for the jobs whose group has been trained here
    jobs: int
    unmeasured: int  # jobs whose group has not been trained here: their time is unknown


def cost_of(jobs: Sequence[NewJob], speed: MeasuredSpeed) -> Cost:
    """The cost of jobs, each group at its own measured speed."""
    seconds = [job.target_steps / rate for job in jobs if (rate := speed.of(job.group_key)) is not None]
    steps = sum(job.target_steps for job in jobs)
    return Cost(steps, sum(seconds), len(jobs), len(jobs) - len(seconds))


def ratio(steps: float, seconds: float) -> float | None:
    """Steps per second; None unless both numbers are positive."""
    return steps / seconds if steps > 0 and seconds > 0 else None
