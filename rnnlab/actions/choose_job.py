"""Finds the jobs that a user selects: by number, by a hash prefix, the best, or all of an experiment."""

from dataclasses import dataclass

from rnnlab.actions.status import best_run
from rnnlab.errors import UsageError
from rnnlab.plans.plan import only_experiment, stored_plan
from rnnlab.queue.job import Job, Status
from rnnlab.queue.store import Store

_MAX_DIGITS = 18  # of a job's number: the database does not support larger integers


@dataclass(frozen=True)
class JobSelection:
    """Single jobs, or all jobs of an experiment or of one of its rounds.

    Raises UsageError for a combination that selects nothing or is contradictory.
    """

    names: tuple[str, ...]  # job numbers or hash prefixes; empty: all jobs of the experiment
    experiment: str | None  # experiment to search; None: all
    round_name: str | None  # select only the jobs of this round; requires empty `names`

    def __post_init__(self) -> None:
        if self.names and self.round_name is not None:
            raise UsageError(f"--round {self.round_name} cannot be combined with JOB: use it with --experiment")
        if not self.names and self.experiment is None:
            raise UsageError("no jobs given: name jobs, or give --experiment NAME for all of its jobs")

    def ids(self, store: Store) -> list[int]:
        """The numbers of the jobs. Raises UsageError, in one line, if a job, the experiment or the round is missing."""
        if self.names:
            return [chosen_job(store, name, self.experiment).id for name in self.names]
        name = only_experiment(store, self.experiment)
        rounds = list(dict.fromkeys(found for _, found, _ in store.counts(name)))
        if self.round_name is not None and self.round_name not in rounds:
            raise UsageError(f"--round {self.round_name}: {name} has jobs in {', '.join(rounds) or 'no round'}")
        return [job.id for job in store.jobs(name, self.round_name)]


def chosen_job(store: Store, job: str | None, experiment: str | None) -> Job:
    """The selected job; None selects the best one. Raises UsageError, in one line, unless exactly one job matches."""
    if job is None:
        return best_job(store, experiment)
    # Digits can be a job number or a hash prefix.
    if job.isdecimal() and len(job) <= _MAX_DIGITS and (found := store.job(int(job))) is not None:
        return found
    matching = store.find_jobs(job, experiment)
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise UsageError(f"no job {job!r}: give a job number or the first digits of a hash, as shown in the tables")
    raise UsageError(
        f"{job!r} matches {len(matching)} jobs: {', '.join(str(one.id) for one in matching[:8])}; give a number"
    )


def best_job(store: Store, experiment: str | None) -> Job:
    """The finished job with the lowest metric, trained or imported. Raises UsageError if no metric is finite."""
    name = only_experiment(store, experiment)
    metric = stored_plan(store, name).experiment.analysis.metric
    best = best_run(store, name, metric)
    found = store.job(best.job_id) if best is not None else None
    if found is None:
        raise UsageError(_why_no_best(store, name, metric))
    return found


def _why_no_best(store: Store, name: str, metric: str) -> str:
    done = store.jobs(name, status=Status.DONE)
    if not done:
        return f"experiment {name} has no finished job yet: run `rnnlab worker` to train its jobs"
    numbers = sorted(
        {key for job in done for key, value in (job.result or {}).items() if isinstance(value, int | float)}
    )
    if not any(metric in (job.result or {}) for job in done):
        return (
            f"no result of experiment {name} contains its metric {metric!r}, only {', '.join(numbers)}: change "
            "[analysis] metric in the experiment file, then run `rnnlab init` again"
        )
    return f"no finished job of experiment {name} has a finite {metric}: all losses are NaN or infinite"
