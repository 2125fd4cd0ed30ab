"""What a worker writes down: checkpoints and progress, results, failures. Every write about a job is fenced."""

import contextlib
import json
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from rnnlab.errors import RnnlabError, StaleClaimError, WorkerStoppedError
from rnnlab.files import Workspace
from rnnlab.queue.job import Curve, Job
from rnnlab.queue.store import Store
from rnnlab.spec.run_config import run_config_from_json
from rnnlab.training import checkpoint
from rnnlab.training.run_state import RunState
from rnnlab.training.workbench import Workbench
from rnnlab.worker.options import WorkerView
from rnnlab.worker.team import Place, Team, Trainee

# What no job is to blame for: a text that is not here, a device that is broken. It ends the worker, not the job.
NOT_THE_JOBS_FAULT = (RnnlabError, torch.AcceleratorError)


class Ledger:
    """The writing half of one worker. A job that was taken over by somebody else is left to its new owner."""

    def __init__(self, store: Store, workspace: Workspace, bench: Workbench, view: WorkerView) -> None:
        self.finished = 0
        self.failed = 0
        self._store = store
        self._workspace = workspace
        self._bench = bench
        self._view = view

    def place(self, job: Job) -> Place:
        """The place of a claimed job. Raises SpecError if a newer rnnlab wrote its config."""
        run_dir = self._workspace.run_dir(job.experiment, job.round, job.config_hash)
        return Place(job, run_config_from_json(job.payload), run_dir)

    def fail(self, place: Place, trace: str) -> None:
        """Commit that an exception stopped a job."""
        place.log(trace)
        with self._unless_stale(place):
            self._store.fail(place.job.claim, trace)
            self.failed += 1
            last_line = trace.strip().splitlines()[-1]
            self._view.message(f"job {place.job.id} failed: {last_line}; traceback in {place.run_dir / 'log.txt'}")

    def finish(self, done: Sequence[Trainee], max_threads: int) -> None:
        """Evaluate finished runs of one group on held-out text, write their final checkpoints and commit them."""
        if not done:
            return
        begun = time.perf_counter()
        try:
            results = self._bench.results([member for _, member in done], max_threads)
        except NOT_THE_JOBS_FAULT:
            raise
        except Exception:
            if len(done) == 1:
                self.fail(done[0][0], traceback.format_exc())
            else:
                for one in done:
                    self.finish([one], max_threads)
            return
        seconds = (time.perf_counter() - begun) / len(done)
        for (place, member), result in zip(done, results, strict=True):
            self._commit(place, member.state, result, place.seconds + seconds)

    def checkpoint(self, team: Team) -> tuple[list[Place], int]:
        """Write a checkpoint of every member and commit it. A full disk costs the checkpoint, not the run.

        Returns the places whose jobs were taken over by others, and how many checkpoints could not be written.
        """
        lost: list[Place] = []
        unwritten, reason = 0, ""
        for place, member in team.trainees():
            try:
                checkpoint.write(place.run_dir, place.config, member.state, place.job.epoch)
            except OSError as error:
                unwritten, reason = unwritten + 1, error.strerror or str(error)
                continue
            with self._unless_stale(place, lost.append):
                self._store.commit_progress(place.job.claim, member.state.step, place.seconds, _curve_of(member.state))
                place.seconds = 0.0
        if unwritten:
            results = self._workspace.results_dir
            self._view.message(f"no checkpoint of {unwritten} jobs in {results} ({reason}): they have the one before")
        return lost, unwritten

    def release(self, places: Sequence[Place], unwritten: int) -> None:
        """Give jobs back. `unwritten`: how many of them have only an older checkpoint."""
        self._store.release(place.job.claim for place in places)
        if places:
            unless = f", but for {unwritten} that have only the one before" if unwritten else ""
            self._view.message(f"{len(places)} jobs are released, with a checkpoint of where they stand{unless}")

    def _commit(self, place: Place, state: RunState, result: dict[str, Any], seconds: float) -> None:
        path = None
        if state.diverged_at_step is None:  # the weights of a diverged run are of no use to anybody
            path = self._final_checkpoint(place, state)
        result = result | {"checkpoint": str(path.relative_to(self._workspace.results_dir)) if path else None}
        with self._unless_stale(place):
            self._store.finish(place.job.claim, result, seconds, _curve_of(state), step=state.step)
            with contextlib.suppress(OSError):  # tidying up is no reason to stop
                checkpoint.keep_only(place.run_dir, path)
            self.finished += 1
            place.log(f"finished: {json.dumps(result)}")
            self._view.job_done(place.job, result)

    def _final_checkpoint(self, place: Place, state: RunState) -> Path:
        try:
            return checkpoint.write(place.run_dir, place.config, state, place.job.epoch)
        except OSError as error:
            raise WorkerStoppedError(
                f"the final checkpoint of job {place.job.id} could not be written to {place.run_dir} "
                f"({error.strerror or error}): free some space, then start a worker again; nothing is lost but the "
                "work since the last checkpoint"
            ) from error

    @contextlib.contextmanager
    def _unless_stale(self, place: Place, then: Callable[[Place], object] = lambda place: None) -> Iterator[None]:
        try:
            yield
        except StaleClaimError as error:
            place.log(str(error))
            self._view.message(f"{error}; left to its new owner")
            then(place)


def _curve_of(state: RunState) -> Curve:
    return Curve(list(state.curve_steps), {"ema_loss": list(state.curve_ema_loss)})
