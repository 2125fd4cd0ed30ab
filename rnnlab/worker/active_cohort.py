"""Jobs that a worker trains together."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnlab.training.cohort import Cohort
from rnnlab.worker.running_job import JobSnapshot, RunningJob


@dataclass
class ActiveCohort:
    """A cohort and its jobs, in the same order. All jobs have the same group key."""

    jobs: Sequence[RunningJob]
    cohort: Cohort
    checkpoint_at: float  # time.monotonic() of the next checkpoint
    alone: bool = False  # one job that retrains after an exception in its cohort: no other job joins
    suspected: bool = False  # its workers died repeatedly: this worker trains no other job until it makes progress

    @property
    def group_key(self) -> str:
        """The group key of the jobs."""
        return self.jobs[0].config.group_key

    def snapshots(self) -> list[JobSnapshot]:
        """The jobs with their runs at the current step, copied out of the cohort."""
        return [JobSnapshot(*pair) for pair in zip(self.jobs, self.cohort.members(), strict=True)]
