"""The jobs that a user names: by number, by the first digits of a hash, the best, or all of an experiment."""

from dataclasses import dataclass

from rnnlab.actions.status import best_run
from rnnlab.errors import UsageError
from rnnlab.plans.plan import only_experiment, stored_plan
from rnnlab.queue.job import Job, Status
from rnnlab.queue.store import Store

_MOST_DIGITS = 18  # of a job's number: the database knows no larger integers


@dataclass(frozen=True)
class JobSelection:
    """Single jobs, or all jobs of an experiment or of one of its rounds.

    Raises UsageError for a combination that selects nothing or two things at once.
    """

    names: tuple[str, ...]  # numbers, or the first digits of hashes; empty: all jobs of the experiment
    experiment: str | None  # the only one in which to look for the jobs
    round_name: str | None  # without names: only the jobs of this round

    def __post_init__(self) -> None:
        if self.names and self.round_name is not None:
            raise UsageError(f"--round {self.round_name}: use it with --experiment and without JOB")
        if not self.names and self.experiment is None:
            raise UsageError("give jobs, or --experiment NAME for all of its jobs")

    def ids(self, store: Store) -> list[int]:
        """The numbers of the jobs. Raises UsageError, in one line, for a job, experiment or round that is missing."""
        if self.names:
            return [chosen_job(store, name, self.experiment).id for name in self.names]
        name = only_experiment(store, self.experiment)
        rounds = list(dict.fromkeys(found for _, found, _ in store.counts(name)))
        if self.round_name is not None and self.round_name not in rounds:
            raise UsageError(f"--round {self.round_name}: {name} has jobs in {', '.join(rounds) or 'no round'}")
        return [job.id for job in store.jobs(name, self.round_name)]


def chosen_job(store: Store, job: str | None, experiment: str | None) -> Job:
    """The job that the user means. Raises UsageError, in one line, if there is none or more than one."""
    if job is None:
        return best_job(store, experiment)
    # Digits may be a number, or begin a hash.
    if job.isdecimal() and len(job) <= _MOST_DIGITS and (found := store.job(int(job))) is not None:
        return found
    matching = store.find_jobs(job, experiment)
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise UsageError(f"no job {job!r}: give a number or the first digits of a hash, as the tables show them")
    raise UsageError(
        f"{job!r} fits {len(matching)} jobs: {', '.join(str(one.id) for one in matching[:8])}; give a number"
    )


def best_job(store: Store, experiment: str | None) -> Job:
    """The finished job with the lowest metric, trained or imported. Raises UsageError if no job has a finite one."""
    name = only_experiment(store, experiment)
    metric = stored_plan(store, name).experiment.analysis.metric
    best = best_run(store, name, metric)
    found = store.job(best.job_id) if best is not None else None
    if found is None:
        raise UsageError(_without_best(store, name, metric))
    return found


def _without_best(store: Store, name: str, metric: str) -> str:
    done = store.jobs(name, status=Status.DONE)
    if not done:
        return f"experiment {name} has no finished job yet: `rnnlab worker` trains them"
    numbers = sorted(
        {key for job in done for key, value in (job.result or {}).items() if isinstance(value, int | float)}
    )
    if not any(metric in (job.result or {}) for job in done):
        return (
            f"no result of experiment {name} has {metric!r}, its metric: they have {', '.join(numbers)}: change "
            "[analysis] metric in the experiment file, then `rnnlab init` it again"
        )
    return f"no finished job of experiment {name} has a finite {metric}: their losses stopped being finite"
