"""The runs to export: every job of one experiment with its curve, in the order of adding."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from rnnlab.errors import UsageError
from rnnlab.plans.plan import stored_plan
from rnnlab.queue.job import Curve, Job
from rnnlab.queue.reader import Reader


@dataclass(frozen=True)
class ExportedRuns:
    """All jobs of an experiment, whatever their status."""

    experiment: str
    title: str  # as in the experiment file; may be empty
    metric: str  # the number of the result that ranks the runs, lower is better
    rounds: Mapping[str, list[Job]]  # in the order of the rounds; those without jobs are left out
    curves: Mapping[int, Curve]  # by job id; jobs without a curve are left out

    @property
    def jobs(self) -> list[Job]:
        """The jobs of all rounds, in the order of adding."""
        return sorted((job for jobs in self.rounds.values() for job in jobs), key=lambda job: job.id)

    @cached_property
    def number_names(self) -> list[str]:
        """The fields that are numbers, not switches, in every result that has them."""
        # Imported results may have an id that looks like a number in some runs only.
        kinds: dict[str, set[bool]] = {}
        for job in self.jobs:
            for name, value in (job.result or {}).items():
                if value is not None:
                    kinds.setdefault(name, set()).add(isinstance(value, int | float) and not isinstance(value, bool))
        return [name for name, found in kinds.items() if found == {True}]

    def numbers(self, job: Job) -> dict[str, int | float]:
        """The numbers of the job's result; empty if it has none yet."""
        result = job.result or {}
        return {name: result[name] for name in self.number_names if result.get(name) is not None}


def read_runs(store: Reader, experiment: str, only_round: str | None = None) -> ExportedRuns:
    """Read the jobs of an experiment, or of one of its rounds.

    Raises UsageError if the table does not have the experiment, or the experiment does not have the round.
    """
    plan = stored_plan(store, experiment).experiment
    if only_round is not None:
        known = dict.fromkeys([*plan.round_names, *sorted({begun for _, begun, _ in store.counts(experiment)})])
        if only_round not in known:
            raise UsageError(f"experiment {experiment} has no round {only_round!r}: it has {', '.join(known)}")
    jobs = store.jobs(experiment, only_round)
    # Read after the jobs, so that a finished job has its whole curve; jobs may have been added in between.
    later = store.curves(experiment, only_round)
    curves = {job.id: later[job.id] for job in jobs if job.id in later}
    others = {job.round for job in jobs} - set(plan.round_names)
    by_round = {name: [job for job in jobs if job.round == name] for name in [*plan.round_names, *sorted(others)]}
    rounds = {name: members for name, members in by_round.items() if members}
    return ExportedRuns(experiment, plan.title, plan.analysis.metric, rounds, curves)


def diverged(job: Job) -> bool:
    """Whether the loss of a finished job stopped being finite."""
    return (job.result or {}).get("diverged_at_step") is not None


def began_at(job: Job) -> float:
    """When training began, in seconds since 1970. For an imported run: the time of the import minus its seconds."""
    if job.started_at is not None:
        return job.started_at
    return job.created_at if job.finished_at is None else job.finished_at - job.seconds
