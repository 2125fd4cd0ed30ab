"""How fast jobs were trained here, and what further ones will therefore cost."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnnlab.queue.job import NewJob, Status
from rnnlab.queue.reading import Progress


class MeasuredSpeed:
    """Of one worker, by group of jobs. Imported jobs were trained elsewhere, and do not count."""

    def __init__(self, progress: Iterable[Progress]) -> None:
        self._steps: dict[str, float] = defaultdict(float)
        self._seconds: dict[str, float] = defaultdict(float)
        for row in progress:
            if row.trained_here:
                self._steps[row.group_key] += row.step
                self._seconds[row.group_key] += row.seconds
        self.mean = ratio(sum(self._steps.values()), sum(self._seconds.values()))  # model-steps a second

    def of(self, group_key: str) -> float | None:
        """Model-steps a second of a group; None before it was trained here."""
        return ratio(self._steps.get(group_key, 0.0), self._seconds.get(group_key, 0.0))

    def seconds_left(self, progress: Sequence[Progress]) -> float | None:
        """Of one worker: each group at its own measured speed, groups without a measurement at the mean speed."""
        if self.mean is None:
            return None
        open_rows = [row for row in progress if row.status in (Status.PENDING, Status.RUNNING)]
        return sum((row.target_steps - row.step) / (self.of(row.group_key) or self.mean) for row in open_rows)


@dataclass(frozen=True)
class Cost:
    """What a set of jobs will cost."""

    steps: int  # optimiser steps of all of them
    seconds: float  # one worker's time for those whose group was trained here
    jobs: int
    unmeasured: int  # those jobs whose group was not: nothing is known of their time


def cost_of(jobs: Sequence[NewJob], speed: MeasuredSpeed) -> Cost:
    """The cost of jobs, each group at its own measured speed."""
    seconds = [job.target_steps / rate for job in jobs if (rate := speed.of(job.group_key)) is not None]
    steps = sum(job.target_steps for job in jobs)
    return Cost(steps, sum(seconds), len(jobs), len(jobs) - len(seconds))


def ratio(steps: float, seconds: float) -> float | None:
    """Steps a second; None where there is nothing to divide."""
    return steps / seconds if steps > 0 and seconds > 0 else None
