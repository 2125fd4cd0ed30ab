"""What a worker writes down: checkpoints and progress, results, failures. Every write about a job is fenced."""

import contextlib
import json
import math
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rnnlab.errors import RnnlabError, StaleClaimError, WorkerStoppedError
from rnnlab.files import Workspace
from rnnlab.models.own_cells import load_cells, needs_code
from rnnlab.plans.plan import stored_plan
from rnnlab.queue.job import Claim, Curve, Finish, Job, Status
from rnnlab.queue.store import Store
from rnnlab.spec.run_config import RunConfig, run_config_from_json
from rnnlab.training import checkpoint
from rnnlab.training.context import TrainingContext
from rnnlab.training.run_state import RunState
from rnnlab.worker.active_cohort import Place, Trainee
from rnnlab.worker.retry_policy import Patience
from rnnlab.worker.worker_options import WorkerView

# What no job is to blame for: a text that is not here, a device that is broken. It ends the worker, not the job.
NOT_THE_JOBS_FAULT = (RnnlabError, torch.AcceleratorError)


@dataclass
class Tally:
    """What a worker has ended, over all its shifts."""

    finished: int = 0  # with a result
    failed: int = 0  # with an exception, for good

    @property
    def ended(self) -> int:
        """All of them."""
        return self.finished + self.failed


@dataclass(frozen=True)
class Written:
    """What came of a round of checkpoints."""

    lost: Sequence[Place] = ()  # whose jobs were taken over by others
    failed: Sequence[tuple[Place, str]] = ()  # whose checkpoint raised an exception, with its traceback
    unwritten: int = 0  # for which there was no space
    committed: int = 0


class Ledger:
    """The writing half of one worker. A job that was taken over by somebody else is left to its new owner."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        bench: TrainingContext,
        view: WorkerView,
        tally: Tally,
        patience: Patience,
        *,
        allow_code: bool,
    ) -> None:
        self._tally = tally
        self._store = store
        self._workspace = workspace
        self._bench = bench
        self._view = view
        self._patience = patience
        self._allow_code = allow_code

    def place(self, job: Job) -> Place:
        """The place of a claimed job, and what the table has for it: the vocabulary, the code of its cell.

        Raises SpecError if a newer rnnlab wrote its config, CellError if its code may not be run or raises.
        """
        config = run_config_from_json(job.payload)
        self._keep_vocabulary(job, config)
        self._load_cell(job, config)
        run_dir = self._workspace.run_dir(job.experiment, job.round, job.config_hash)
        return Place(job, config, run_dir, job.seconds)

    def fail(self, place: Place, trace: str) -> None:
        """Commit that an exception stopped a job. Within its budget of exceptions it will be tried again."""
        place.log(trace)
        with self._unless_stale(place):
            status = self._patience(lambda: self._store.fail(place.job.claim, trace))
            last_line = trace.strip().splitlines()[-1]
            where = f"traceback in {place.run_dir / 'log.txt'}"
            if status is Status.FAILED:
                self._tally.failed += 1
                self._view.message(f"job {place.job.id} failed: {last_line}; {where}")
            else:
                self._view.message(
                    f"job {place.job.id} raised an exception and is {status} again: {last_line}; {where}"
                )

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
        self._commit(done, results, seconds)

    def checkpoint(self, trainees: Sequence[Trainee], seconds: Sequence[float]) -> Written:
        """Write a checkpoint of each and commit it. A full disk costs the checkpoint, not the run.

        `seconds`: how long each was in training until then. A thread beside the worker's own may do this, while nobody
        else writes about these jobs.
        """
        written: dict[Claim, Place] = {}
        items, failed = [], []
        unwritten, reason = 0, ""
        for (place, member), trained in zip(trainees, seconds, strict=True):
            try:
                self._write(place, member.state)
            except OSError as error:
                unwritten, reason = unwritten + 1, error.strerror or str(error)
                continue
            except NOT_THE_JOBS_FAULT:
                raise
            except Exception:
                failed.append((place, traceback.format_exc()))
                continue
            written[place.job.claim] = place
            items.append((place.job.claim, member.state.step, trained, _curve_of(member.state)))
        stale = self._patience(lambda: self._store.commit_progress_many(items))
        for claim in stale:
            self._leave(written[claim], f"job {claim.job_id} was taken over by another worker")
        if unwritten:
            results = self._workspace.results_dir
            self._view.message(f"no checkpoint of {unwritten} jobs in {results} ({reason}): they have the one before")
        return Written([written[claim] for claim in stale], failed, unwritten, len(items) - len(stale))

    def grant(self, place: Place) -> bool:
        """Pause or cancel a job as an operator wishes, after its checkpoint. False: it goes on after all."""
        with self._unless_stale(place):
            status = self._patience(lambda: self._store.apply_request(place.job.claim))
            if status is None:
                return False
            place.log(f"{status} as wished")
            self._view.message(f"job {place.job.id} is {status}")
        return True

    def release(self, places: Sequence[Place], unwritten: int) -> None:
        """Give jobs back. `unwritten`: how many of them have only an older checkpoint."""
        released = self._patience(lambda: self._store.release([place.job.claim for place in places]))
        if released:
            unless = f", but for {unwritten} that have only the one before" if unwritten else ""
            self._view.message(f"{len(released)} jobs are released, with a checkpoint of where they stand{unless}")

    def _commit(self, done: Sequence[Trainee], results: Sequence[dict[str, Any]], seconds: float) -> None:
        """Final checkpoints first, then all the ends in one transaction. `seconds`: of the evaluation, for each."""
        finals: dict[Claim, tuple[Place, dict[str, Any], Path | None]] = {}
        items = []
        for (place, member), found in zip(done, results, strict=True):
            path, state = None, member.state
            if state.diverged_at_step is None:  # the weights of a diverged run are of no use to anybody
                try:
                    path = self._final_checkpoint(place, state)
                except NOT_THE_JOBS_FAULT:
                    raise
                except Exception:
                    self.fail(place, traceback.format_exc())
                    continue
            result = _finite(found) | {
                "checkpoint": str(path.relative_to(self._workspace.results_dir)) if path else None
            }
            finals[place.job.claim] = (place, result, path)
            items.append(Finish(place.job.claim, result, place.seconds + seconds, _curve_of(state), state.step))
        stale = self._patience(lambda: self._store.finish_many(items))
        for claim, (place, result, path) in finals.items():
            if claim in stale:
                self._leave(place, f"job {place.job.id} was taken over by another worker")
                continue
            with contextlib.suppress(OSError):  # tidying up is no reason to stop
                checkpoint.keep_only(place.run_dir, path)
            self._tally.finished += 1
            place.log(f"finished: {json.dumps(result)}")
            self._view.job_done(place.job, result)

    def _final_checkpoint(self, place: Place, state: RunState) -> Path:
        try:
            return self._write(place, state)
        except OSError as error:
            raise WorkerStoppedError(
                f"the final checkpoint of job {place.job.id} could not be written to {place.run_dir} "
                f"({error.strerror or error}): free some space, then start a worker again; nothing is lost but the "
                "work since the last checkpoint"
            ) from error

    def _load_cell(self, job: Job, config: RunConfig) -> None:
        if needs_code(config.model.cell):
            code = self._patience(lambda: stored_plan(self._store, job.experiment)).experiment.code
            load_cells([config.model.cell], code, allowed=self._allow_code)

    def _keep_vocabulary(self, job: Job, config: RunConfig) -> None:
        """Have what the job's tokenizer learned at hand; it is in the table."""
        if config.tokenizer.vocabulary_sha256 is not None and self._bench.vocabulary(config) is None:
            vocabulary = self._patience(lambda: stored_plan(self._store, job.experiment)).vocabulary
            if vocabulary is not None:
                self._bench.keep_vocabulary(vocabulary)

    def _write(self, place: Place, state: RunState) -> Path:
        vocabulary = self._bench.vocabulary(place.config)
        return checkpoint.write(place.run_dir, place.config, state, place.job.epoch, vocabulary)

    @contextlib.contextmanager
    def _unless_stale(self, place: Place) -> Iterator[None]:
        try:
            yield
        except StaleClaimError as error:
            self._leave(place, str(error))

    def _leave(self, place: Place, reason: str) -> None:
        place.log(reason)
        self._view.message(f"{reason}; left to its new owner")


def _finite(result: dict[str, Any]) -> dict[str, Any]:
    """NaN and infinities are None, as the table wants it: a held-out loss can overflow where no training loss did."""
    return {name: None if isinstance(x, float) and not math.isfinite(x) else x for name, x in result.items()}


def _curve_of(state: RunState) -> Curve:
    return Curve(list(state.curve_steps), {"ema_loss": list(state.curve_ema_loss)})
