"""What a worker commits: checkpoints and progress, results, failures. Every write about a job is fenced."""

import contextlib
import json
import math
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnlab.errors import StaleClaimError, WorkerStoppedError
from rnnlab.queue.job import Claim, Curve, Finish, Status
from rnnlab.training import checkpoint
from rnnlab.training.run_state import RunState
from rnnlab.worker.running_job import JobSnapshot, RunningJob
from rnnlab.worker.worker_context import WORKER_ERRORS, WorkerContext


@dataclass(frozen=True)
class WrittenCheckpoints:
    """The outcome of a set of checkpoints."""

    lost: Sequence[RunningJob] = ()  # jobs that other workers have taken over
    failed: Sequence[tuple[RunningJob, str]] = ()  # jobs whose checkpoint raised an exception, with the traceback
    unwritten: int = 0  # number of checkpoints for which there was no space
    committed: int = 0  # number of checkpoints that were written and committed


class JobCommitter:
    """Commits to the job table and the run folders. A job that another worker took over is left to its new owner."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._store = context.store
        self._retry = context.retry
        self._view = context.view

    def fail(self, running: RunningJob, trace: str) -> None:
        """Commit that an exception stopped a job. The job is retried unless its budget of exceptions is used up."""
        running.log(trace)
        job = running.job
        with self._unless_stale(running):
            status = self._retry(lambda: self._store.fail(job.claim, trace))
            last_line = trace.strip().splitlines()[-1]
            where = f"traceback in {running.run_dir / 'log.txt'}"
            if status is Status.FAILED:
                self._context.counts.failed += 1
                self._view.message(f"job {job.id} failed: {last_line}; {where}")
            else:
                self._view.message(f"job {job.id} raised an exception and is {status} again: {last_line}; {where}")

    def finish(self, done: Sequence[JobSnapshot], max_threads: int) -> None:
        """Evaluate finished runs of one group on held-out text, write their final checkpoints and commit them."""
        if not done:
            return
        begun = time.perf_counter()
        try:
            results = self._context.training.results([snapshot.member for snapshot in done], max_threads)
        except WORKER_ERRORS:
            raise
        except Exception:
            if len(done) == 1:
                self.fail(done[0].running, traceback.format_exc())
            else:
                for snapshot in done:
                    self.finish([snapshot], max_threads)
            return
        seconds = (time.perf_counter() - begun) / len(done)
        self._commit(done, results, seconds)

    def checkpoint(self, snapshots: Sequence[JobSnapshot], seconds: Sequence[float]) -> WrittenCheckpoints:
        """Write and commit a checkpoint of each job. If the disk is full, training continues without it.

        `seconds`: time in training of each job so far. Another thread than the worker's own may call this, as long as
        no other code writes about these jobs.
        """
        written: dict[Claim, RunningJob] = {}
        items, failed = [], []
        unwritten, reason = 0, ""
        for snapshot, trained in zip(snapshots, seconds, strict=True):
            running, state = snapshot.running, snapshot.member.state
            try:
                self._write(running, state)
            except OSError as error:
                unwritten, reason = unwritten + 1, error.strerror or str(error)
                continue
            except WORKER_ERRORS:
                raise
            except Exception:
                failed.append((running, traceback.format_exc()))
                continue
            written[running.job.claim] = running
            items.append((running.job.claim, state.step, trained, _curve_of(state)))
        stale = self._retry(lambda: self._store.commit_progress_many(items))
        for claim in stale:
            self._report_lost(written[claim], f"job {claim.job_id} was taken over by another worker")
        if unwritten:
            results = self._context.workspace.results_dir
            self._view.message(
                f"cannot write checkpoints of {unwritten} jobs in {results} ({reason}): they keep the previous ones"
            )
        return WrittenCheckpoints([written[claim] for claim in stale], failed, unwritten, len(items) - len(stale))

    def apply_request(self, running: RunningJob) -> bool:
        """Pause or cancel a job on request, after its checkpoint. Returns False if the job continues after all."""
        with self._unless_stale(running):
            status = self._retry(lambda: self._store.apply_request(running.job.claim))
            if status is None:
                return False
            running.log(f"{status} on request")
            self._view.message(f"job {running.job.id} is {status}")
        return True

    def release(self, jobs: Sequence[RunningJob], unwritten: int) -> None:
        """Return jobs to the queue. `unwritten`: how many of them have only an older checkpoint."""
        released = self._retry(lambda: self._store.release([running.job.claim for running in jobs]))
        if released:
            exception = f", except {unwritten} that have only the previous one" if unwritten else ""
            self._view.message(f"{len(released)} jobs are released with a checkpoint of their current step{exception}")

    def _commit(self, done: Sequence[JobSnapshot], results: Sequence[dict[str, Any]], seconds: float) -> None:
        """Write the final checkpoints first, then commit all results in one transaction.

        `seconds`: time of the evaluation for each job.
        """
        finals: dict[Claim, tuple[RunningJob, dict[str, Any], Path | None]] = {}
        items = []
        for snapshot, found in zip(done, results, strict=True):
            running, state = snapshot.running, snapshot.member.state
            path = None
            if state.diverged_at_step is None:  # the weights of a diverged run are useless
                try:
                    path = self._final_checkpoint(running, state)
                except WORKER_ERRORS:
                    raise
                except Exception:
                    self.fail(running, traceback.format_exc())
                    continue
            file = str(path.relative_to(self._context.workspace.results_dir)) if path else None
            result = _finite(found) | {"checkpoint": file}
            claim = running.job.claim
            finals[claim] = (running, result, path)
            items.append(Finish(claim, result, running.seconds + seconds, _curve_of(state), state.step))
        stale = self._retry(lambda: self._store.finish_many(items))
        for claim, (running, result, path) in finals.items():
            if claim in stale:
                self._report_lost(running, f"job {running.job.id} was taken over by another worker")
                continue
            with contextlib.suppress(OSError):  # an error while removing old files must not stop the worker
                checkpoint.keep_only(running.run_dir, path)
            self._context.counts.finished += 1
            running.log(f"finished: {json.dumps(result)}")
            self._view.job_done(running.job, result)

    def _final_checkpoint(self, running: RunningJob, state: RunState) -> Path:
        try:
            return self._write(running, state)
        except OSError as error:
            raise WorkerStoppedError(
                f"cannot write the final checkpoint of job {running.job.id} to {running.run_dir} "
                f"({error.strerror or error}): free some space, then start a worker again; only the work since the "
                "last checkpoint is lost"
            ) from error

    def _write(self, running: RunningJob, state: RunState) -> Path:
        vocabulary = self._context.training.vocabulary(running.config)
        return checkpoint.write(running.run_dir, running.config, state, running.job.epoch, vocabulary)

    @contextlib.contextmanager
    def _unless_stale(self, running: RunningJob) -> Iterator[None]:
        try:
            yield
        except StaleClaimError as error:
            self._report_lost(running, str(error))

    def _report_lost(self, running: RunningJob, reason: str) -> None:
        running.log(reason)
        self._view.message(f"{reason}; left to its new owner")


def _finite(result: dict[str, Any]) -> dict[str, Any]:
    """The result with None for NaN and infinities: a held-out loss can overflow even if no training loss did."""
    return {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in result.items()}


def _curve_of(state: RunState) -> Curve:
    return Curve(list(state.curve_steps), {"ema_loss": list(state.curve_ema_loss)})
