"""The cohorts that a worker trains: how jobs join and leave them, blocks of training, checkpoints, ends."""

import time
import traceback
from collections.abc import Collection, Sequence

import torch

from rnnlab.training.memory_errors import is_out_of_memory
from rnnlab.training.resources import threads_for
from rnnlab.worker.active_cohort import ActiveCohort
from rnnlab.worker.checkpoint_writer import CheckpointWriter
from rnnlab.worker.claims import Claims
from rnnlab.worker.job_committer import JobCommitter
from rnnlab.worker.job_loader import JobLoader
from rnnlab.worker.running_job import JobSnapshot, RunningJob
from rnnlab.worker.worker_context import WORKER_ERRORS, WorkerContext

_BLOCK_SECONDS = 1.0  # a block ends after this time, so that a stop, a rescue or a free place is noticed soon
_BLOCK_STEPS = 100  # and after this many steps, whose data are prepared at once


class CohortScheduler:
    """The cohorts of one worker session. Every change waits first for checkpoints that are being written."""

    def __init__(self, context: WorkerContext, loader: JobLoader, claims: Claims, committer: JobCommitter) -> None:
        self.cohorts: list[ActiveCohort] = []
        self.live_here = 1  # workers on this host, which share its cores
        self._context = context
        self._loader = loader
        self._claims = claims
        self._committer = committer
        self._checkpoints = CheckpointWriter(committer)

    def join(self, jobs: Sequence[RunningJob], *, suspected: bool = False) -> None:
        """Add claimed jobs of one group to the cohort of the group. They resume from their newest checkpoints.

        suspected: the job may have killed its workers; it trains alone, and has a checkpoint after its first block.
        """
        if not jobs:
            return
        self._collect_checkpoints()
        snapshots = self._resumed(jobs)
        # A job whose worker died after its last checkpoint and before the commit only needs the commit.
        self._finish([snapshot for snapshot in snapshots if snapshot.is_finished])
        newcomers = [snapshot for snapshot in snapshots if not snapshot.is_finished]
        if not newcomers:
            return
        if suspected:
            self._start(newcomers, alone=True, due=time.monotonic(), suspected=True)
            return
        group_key = newcomers[0].running.config.group_key
        cohort = next((one for one in self.cohorts if one.group_key == group_key and not one.alone), None)
        if cohort is None:
            self._start(newcomers)
            return
        self.cohorts.remove(cohort)
        # The due time of the checkpoint does not change: otherwise frequent joins could delay it forever.
        self._start([*cohort.snapshots(), *newcomers], due=cohort.checkpoint_at)

    def train_block(self, cohort: ActiveCohort) -> None:
        """Train a block of steps; then commit finished jobs, or begin checkpoints if they are due."""
        deadline = time.monotonic() + _BLOCK_SECONDS
        begun = time.perf_counter()
        try:
            steps = cohort.cohort.run_block(
                _BLOCK_STEPS,
                threads_for(cohort.jobs[0].config, self.live_here),
                lambda: self._context.stop_requested.is_set() or time.monotonic() > deadline,
            )
        except torch.AcceleratorError:
            raise
        except Exception as error:
            self.cohorts.remove(cohort)
            gone = self._collect_checkpoints()
            if left := [running for running in cohort.jobs if running not in gone]:
                self._split(left, error)
            return
        seconds = time.perf_counter() - begun
        for running in cohort.jobs:
            running.seconds += seconds / len(cohort.jobs)
        self._context.view.block_done(len(cohort.jobs), steps, seconds)
        if cohort.cohort.any_finished:
            self._retire_finished(cohort)
        elif time.monotonic() >= cohort.checkpoint_at:
            self._begin_checkpoint(cohort)

    def apply_requests(self, job_ids: Collection[int]) -> None:
        """Checkpoint the jobs that operators want to pause or cancel, and stop training them."""
        if not job_ids:
            return
        self._collect_checkpoints()
        for cohort in list(self.cohorts):
            if any(running.job.id in job_ids for running in cohort.jobs):
                gone, _ = self._checkpoint(cohort)
                requested = [running for running in cohort.jobs if running.job.id in job_ids and running not in gone]
                applied = [running for running in requested if self._committer.apply_request(running)]
                self._remove(cohort, [*gone, *applied])

    def check_checkpoints(self) -> None:
        """If the checkpoints are complete, stop training the jobs that were taken over or failed."""
        if not self._checkpoints.is_writing:
            self._collect_checkpoints()

    def release_all(self) -> None:
        """Checkpoint and release all jobs: a graceful stop."""
        self._collect_checkpoints()
        unwritten = 0
        for cohort in list(self.cohorts):
            gone, missing = self._checkpoint(cohort)
            self._remove(cohort, gone)
            unwritten += missing
        self._committer.release([running for cohort in self.cohorts for running in cohort.jobs], unwritten)

    def close(self) -> None:
        """Wait for checkpoints that are being written."""
        self._checkpoints.close()

    def _start(
        self,
        snapshots: Sequence[JobSnapshot],
        *,
        alone: bool = False,
        due: float | None = None,
        suspected: bool = False,
    ) -> None:
        """Train these jobs together. Their next checkpoint is at `due`, or after the usual time."""
        if due is None:
            due = time.monotonic() + self._context.options.checkpoint_seconds
        jobs = [snapshot.running for snapshot in snapshots]
        try:
            cohort = self._context.training.cohort([snapshot.member for snapshot in snapshots])
        except WORKER_ERRORS:
            raise
        except Exception as error:
            self._split(jobs, error)
            return
        self.cohorts.append(ActiveCohort(jobs, cohort, due, alone, suspected))

    def _resumed(self, jobs: Sequence[RunningJob]) -> list[JobSnapshot]:
        """The jobs at their newest checkpoints. An exception fails its job, which is then left out."""
        snapshots = []
        for running in jobs:
            try:
                snapshots.append(self._loader.resume(running))
            except WORKER_ERRORS:
                raise
            except Exception:
                self._committer.fail(running, traceback.format_exc())
        return snapshots

    def _split(self, jobs: Sequence[RunningJob], error: Exception) -> None:
        """Continue in smaller cohorts after an exception, from the checkpoints, so that only the faulty job fails.

        If the memory was not enough, one half continues, the other half is released, and this worker claims no larger
        cohorts of the group. Otherwise each job continues alone.
        """
        context = self._context
        if len(jobs) == 1:
            self._committer.fail(jobs[0], "".join(traceback.format_exception(error)))
        elif is_out_of_memory(error):
            half = len(jobs) // 2
            self._claims.limit_cohorts(jobs[0].config.group_key, half)
            context.view.message(f"not enough memory for {len(jobs)} jobs at once: continuing with {half}")
            released = [running.job.claim for running in jobs[half:]]
            context.retry(lambda: context.store.release(released))
            self._restart(jobs[:half])
        else:
            context.view.message(f"a cohort of {len(jobs)} jobs raised an exception; each job continues alone")
            for running in jobs:
                self._restart([running], alone=True)

    def _restart(self, jobs: Sequence[RunningJob], *, alone: bool = False) -> None:
        snapshots = self._resumed(jobs)
        self._finish([snapshot for snapshot in snapshots if snapshot.is_finished])
        if rest := [snapshot for snapshot in snapshots if not snapshot.is_finished]:
            self._start(rest, alone=alone)

    def _retire_finished(self, cohort: ActiveCohort) -> None:
        """Commit the finished members of a cohort; the others continue in a smaller one."""
        self.cohorts.remove(cohort)
        gone = self._collect_checkpoints()
        snapshots = [snapshot for snapshot in cohort.snapshots() if snapshot.running not in gone]
        if rest := [snapshot for snapshot in snapshots if not snapshot.is_finished]:
            self._start(rest, alone=cohort.alone, due=cohort.checkpoint_at)
        self._finish([snapshot for snapshot in snapshots if snapshot.is_finished])

    def _finish(self, done: Sequence[JobSnapshot]) -> None:
        if done:
            self._committer.finish(done, threads_for(done[0].running.config, self.live_here))

    def _begin_checkpoint(self, cohort: ActiveCohort) -> None:
        """Start to write checkpoints of a cohort while it continues to train."""
        self._collect_checkpoints()
        if cohort in self.cohorts:  # otherwise some jobs are gone, and the others do this after their next block
            cohort.checkpoint_at = time.monotonic() + self._context.options.checkpoint_seconds
            self._checkpoints.begin(cohort.snapshots())

    def _checkpoint(self, cohort: ActiveCohort) -> tuple[list[RunningJob], int]:
        """Write checkpoints and wait. Returns the jobs that are gone and the number of checkpoints not written."""
        self._checkpoints.begin(cohort.snapshots())
        return self._wait_for_checkpoints()

    def _collect_checkpoints(self) -> list[RunningJob]:
        """Wait for the checkpoints that are being written; remove the jobs that are gone, and return them."""
        gone, _ = self._wait_for_checkpoints()
        for cohort in list(self.cohorts):
            self._remove(cohort, [running for running in cohort.jobs if running in gone])
        return gone

    def _wait_for_checkpoints(self) -> tuple[list[RunningJob], int]:
        """The jobs that are gone, and the number of checkpoints that were not written.

        Gone are jobs that were taken over, and jobs whose checkpoint raised an exception, which fails them.
        """
        written = self._checkpoints.wait()
        if written.committed:
            for cohort in self.cohorts:
                cohort.suspected = False
        for running, trace in written.failed:
            self._committer.fail(running, trace)
        return [*written.lost, *(running for running, _ in written.failed)], written.unwritten

    def _remove(self, cohort: ActiveCohort, jobs: Sequence[RunningJob]) -> None:
        """Remove some jobs from a cohort; the others continue."""
        if jobs:
            self.cohorts.remove(cohort)
            if kept := [snapshot for snapshot in cohort.snapshots() if snapshot.running not in jobs]:
                self._start(kept, alone=cohort.alone, due=cohort.checkpoint_at)
