"""One session of a worker: from its registration under a new id, the loop of claiming, training and committing."""

import contextlib

from rnnlab.errors import DatabaseAwayError, RnnlabError, TakenForDeadError
from rnnlab.queue.heartbeat import Heartbeat
from rnnlab.queue.liveness import WorkerLock
from rnnlab.worker.claims import Claims, LiveWorkers
from rnnlab.worker.cohort_scheduler import CohortScheduler
from rnnlab.worker.job_committer import JobCommitter
from rnnlab.worker.job_loader import JobLoader
from rnnlab.worker.worker_context import WorkerContext

_IDLE_SECONDS = 0.5  # between two attempts to claim when there is no job


class WorkerSession:
    """From the registration under a new id to the end of the worker, or until other workers declare it dead."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        loader = JobLoader(context)
        self._claims = Claims(context, loader)
        self.scheduler = CohortScheduler(context, loader, self._claims, JobCommitter(context))

    def run(self) -> None:
        """Register, train until no job is left or a stop is requested, and release unfinished jobs.

        Raises TakenForDeadError if the lease could not be renewed, and other RnnlabErrors if the worker cannot
        continue. Its jobs are then released if the table can be reached, and otherwise rescued by other workers.
        """
        context, store = self._context, self._context.store
        with WorkerLock(context.workspace.workers_dir, context.worker_id) as lock:
            device = str(context.options.device)
            context.retry(
                lambda: store.register_worker(lock.record(device, now=store.clock(), lease_seconds=store.lease_seconds))
            )
            heartbeat = Heartbeat(
                store,
                context.worker_id,
                heartbeat_seconds=context.options.heartbeat_seconds,
                on_rescue=self._report_rescue,
                on_error=self._report_error,
                lost=context.lease_lost,
            )
            heartbeat.start()
            reachable = True
            try:
                self._loop()
                self.scheduler.release_all()
            except DatabaseAwayError:
                reachable = False  # waiting for it again would take too long
                raise
            finally:
                self.scheduler.close()
                heartbeat.stop()
                if reachable:
                    with contextlib.suppress(RnnlabError):
                        store.stop_worker(context.worker_id)
                        lock.remove()

    def _report_rescue(self, job_ids: list[int]) -> None:
        self._context.view.message(
            f"rescued {len(job_ids)} jobs from a dead worker: they resume from their checkpoints"
        )

    def _report_error(self, error: Exception) -> None:
        self._context.view.message(f"heartbeat: {error}; retrying")

    def _loop(self) -> None:
        stop_requested, scheduler = self._context.stop_requested, self.scheduler
        while not stop_requested.is_set():
            if self._context.lease_lost.is_set():
                raise TakenForDeadError(f"the lease of worker {self._context.worker_id} could not be renewed in time")
            self._update_cohorts()
            if not scheduler.cohorts:
                if self._nothing_left():
                    return
                stop_requested.wait(_IDLE_SECONDS)
                continue
            for cohort in list(scheduler.cohorts):
                if stop_requested.is_set():
                    return
                if cohort in scheduler.cohorts:  # otherwise a smaller one has replaced it
                    scheduler.train_block(cohort)

    def _nothing_left(self) -> bool:
        context = self._context
        if not self._claims.allow_more(self.scheduler.cohorts):
            return True
        if context.options.watch:
            return False
        # Stay while other workers train: if one of them dies, this worker continues its jobs.
        return not context.retry(lambda: context.store.any_open(context.options.experiment))

    def _update_cohorts(self) -> None:
        """Apply the requests of operators, then claim jobs for free places."""
        context, store, retry = self._context, self._context.store, self._context.retry
        scheduler, claims = self.scheduler, self._claims
        scheduler.check_checkpoints()
        if scheduler.cohorts:
            scheduler.apply_requests(retry(lambda: store.requests(context.worker_id)))
        self._release_unknown_claims()
        live = LiveWorkers.of(retry(lambda: store.workers(alive_only=True)))
        scheduler.live_here = live.here
        if any(cohort.suspected for cohort in scheduler.cohorts):
            return
        scheduler.join(claims.started_jobs(scheduler.cohorts, live))
        for cohort in list(scheduler.cohorts):
            if not cohort.alone:
                scheduler.join(claims.refill(cohort, scheduler.cohorts, live))
        if not scheduler.cohorts:
            scheduler.join(claims.suspected_job(), suspected=True)
        if not scheduler.cohorts:
            scheduler.join(claims.next_cohort(scheduler.cohorts, live))

    def _release_unknown_claims(self) -> None:
        """Release jobs that this worker holds but does not know of: the connection broke before it got the answer."""
        context, store, retry = self._context, self._context.store, self._context.retry
        if retry.was_needed:
            retry.was_needed = False
            known = {running.job.claim for cohort in self.scheduler.cohorts for running in cohort.jobs}
            held = retry(lambda: store.held_by(context.worker_id))
            retry(lambda: store.release([claim for claim in held if claim not in known]))
