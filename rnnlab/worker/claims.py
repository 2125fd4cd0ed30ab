"""Which jobs a worker claims, and how many."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnlab.errors import TakenForDeadError, WorkerStoppedError
from rnnlab.queue.claim_statements import Among
from rnnlab.queue.job import WorkerRecord
from rnnlab.queue.liveness import host_name
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort_size.default_size import LARGEST_COHORT
from rnnlab.training.resources import threads_for
from rnnlab.worker.active_cohort import ActiveCohort
from rnnlab.worker.job_loader import JobLoader
from rnnlab.worker.running_job import RunningJob
from rnnlab.worker.worker_context import WorkerContext


@dataclass(frozen=True)
class LiveWorkers:
    """Numbers of live workers, including this one; each at least 1."""

    everywhere: int  # they share the jobs
    here: int  # those on this host: they share its cores

    @classmethod
    def of(cls, records: Sequence[WorkerRecord]) -> "LiveWorkers":
        """Count the records of live workers."""
        here = sum(record.host == host_name() for record in records)
        return cls(max(1, len(records)), max(1, here))


class Claims:
    """The claims of one worker session. They return loaded jobs. Each claim is one transaction.

    The jobs of one call have the same group key. `cohorts` are the cohorts that the worker trains now.
    """

    def __init__(self, context: WorkerContext, loader: JobLoader) -> None:
        self._context = context
        self._loader = loader
        self._limits: dict[str, int] = {}  # by group key: largest size of a cohort, after it was out of memory
        self._wanted: dict[str, int] = {}  # by group key: size of a cohort if there are enough jobs

    def started_jobs(self, cohorts: Sequence[ActiveCohort], live: LiveWorkers) -> list[RunningJob]:
        """Claim jobs that were released or whose worker died. They come first, even beyond the size of a cohort."""
        if cohorts and self._limits:
            return []  # the memory is short: one cohort at a time
        return self._new_cohort(cohorts, live, Among.STARTED)

    def next_cohort(self, cohorts: Sequence[ActiveCohort], live: LiveWorkers) -> list[RunningJob]:
        """Claim the first pending job, and others of its group up to the size of a cohort."""
        return self._new_cohort(cohorts, live, Among.UNSUSPECTED)

    def suspected_job(self) -> list[RunningJob]:
        """Claim one job that may be the cause of its workers' deaths. The worker must hold no other job."""
        return self._claim(self._allowed(1, []), None, Among.SUSPECTED)

    def refill(self, cohort: ActiveCohort, cohorts: Sequence[ActiveCohort], live: LiveWorkers) -> list[RunningJob]:
        """Claim jobs for the free places of a cohort."""
        if len(cohort.jobs) >= self._wanted.get(cohort.group_key, LARGEST_COHORT):
            return []  # this method is called after every block, and must be cheap
        room = self._size_for(cohort.jobs[0].config, cohorts, live) - len(cohort.jobs)
        return self._claim(self._allowed(room, cohorts), cohort.group_key, Among.UNSUSPECTED)

    def allow_more(self, cohorts: Sequence[ActiveCohort]) -> bool:
        """Whether --max-jobs allows this worker to claim another job."""
        return self._allowed(1, cohorts) > 0

    def limit_cohorts(self, group_key: str, size: int) -> None:
        """Claim no larger cohorts of this group from now on, because the memory was not enough."""
        self._limits[group_key] = max(1, size)

    def _new_cohort(self, cohorts: Sequence[ActiveCohort], live: LiveWorkers, among: Among) -> list[RunningJob]:
        first = self._claim(self._allowed(1, cohorts), None, among)
        if not first:
            return []
        config = first[0].config
        more = min(self._size_for(config, cohorts, live), self._allowed(1_000_000, cohorts)) - 1
        return first + self._claim(more, config.group_key, among)

    def _allowed(self, limit: int, cohorts: Sequence[ActiveCohort]) -> int:
        max_jobs = self._context.options.max_jobs
        if max_jobs is None:
            return limit
        return min(limit, max_jobs - self._context.counts.ended - sum(len(cohort.jobs) for cohort in cohorts))

    def _claim(self, limit: int, group_key: str | None, among: Among) -> list[RunningJob]:
        if limit < 1:
            return []
        context = self._context
        try:
            jobs = context.retry(
                lambda: context.store.claim(
                    context.worker_id,
                    limit,
                    group_key=group_key,
                    among=among,
                    experiment=context.options.experiment,
                )
            )
        except WorkerStoppedError as error:
            raise TakenForDeadError(str(error)) from error
        return [self._loader.load(job) for job in jobs]

    def _size_for(self, config: RunConfig, cohorts: Sequence[ActiveCohort], live: LiveWorkers) -> int:
        """The size that suits the device and its memory, but at most this worker's share of the remaining jobs."""
        context, options = self._context, self._context.options
        resident = sum(len(cohort.jobs) for cohort in cohorts)
        largest = options.cohort_size or LARGEST_COHORT
        at_most = largest * live.everywhere  # with more jobs than this, the share of no worker is a limit
        pending = context.retry(lambda: context.store.pending_count(options.experiment, at_most=at_most))
        share = -(-(pending + resident + 1) // live.everywhere)
        limit = min(share, self._limits.get(config.group_key, share))
        if limit <= 1:
            return 1
        wanted = options.cohort_size or context.cohort_sizes.size_for(config, threads_for(config, live.here))
        self._wanted[config.group_key] = min(wanted, self._limits.get(config.group_key, wanted))
        return min(wanted, limit)
