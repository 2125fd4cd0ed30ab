"""The worker: claims jobs, trains them in cohorts, and commits what came of it.

The only module that knows both the queue and the training. The job table is the truth for scheduling, the run folder is
the truth for resuming.
"""

import contextlib
import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import torch

from rnnlab.errors import RnnlabError, StaleClaimError, WorkerStoppedError
from rnnlab.files import Workspace
from rnnlab.queue.heartbeat import Heartbeat
from rnnlab.queue.job import Curve, Job
from rnnlab.queue.liveness import WorkerLock, new_worker_id
from rnnlab.queue.store import Store
from rnnlab.spec.run_config import RunConfig, parse_run_config
from rnnlab.training import checkpoint
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.run_state import RunState
from rnnlab.training.sizing import cohort_size, threads_per_worker
from rnnlab.training.workbench import Workbench

_BLOCK_SECONDS = 1.0  # a block ends after this time: how soon a stop, a rescue or a free place is noticed
_BLOCK_STEPS = 100  # and after this many steps: how many symbols are laid out at once
_IDLE_SECONDS = 0.5  # between two looks at a table with nothing to claim
# What no job is to blame for: a text that is not here, a device that is broken. It ends the worker, not the job.
_NOT_THE_JOBS_FAULT = (RnnlabError, torch.AcceleratorError)


@dataclass(frozen=True)
class WorkerOptions:
    """What a user may say about one worker."""

    device: torch.device
    experiment: str | None = None  # claim jobs of this experiment only
    cohort_size: int | None = None  # jobs trained at once; None: what suits the device
    max_jobs: int | None = None  # end after this many jobs
    watch: bool = False  # stay when nothing is left to do
    checkpoint_seconds: float = 60.0  # between two checkpoints of a job


class WorkerView(Protocol):
    """Where a worker says what happens: a terminal, a log, nothing."""

    def message(self, text: str) -> None:
        """Something that a person wants to know."""

    def block_done(self, training: int, steps: int, seconds: float) -> None:
        """`training` jobs made `steps` steps each in `seconds`."""

    def job_done(self, job: Job, result: dict[str, Any]) -> None:
        """A job ended with this result."""


@dataclass
class _Place:
    """One job in training."""

    job: Job
    config: RunConfig
    run_dir: Path
    seconds: float = 0.0  # time in training that is not in the table yet


@dataclass
class _Team:
    """A cohort and its places, in the same order. Members with equal group keys, or one job alone."""

    places: list[_Place]
    cohort: Cohort
    checkpoint_at: float  # time.monotonic() of the next checkpoint
    alone: bool = False  # retraining after an exception of its cohort: nobody joins

    @property
    def group_key(self) -> str:
        return self.places[0].config.group_key


@dataclass
class Worker:
    """One worker process. `run` returns when nothing is left to do, or after `stop_requested` was set."""

    store: Store
    workspace: Workspace
    options: WorkerOptions
    view: WorkerView
    stop_requested: threading.Event = field(default_factory=threading.Event)
    finished: int = 0
    failed: int = 0
    _id: str = field(default_factory=new_worker_id)
    _teams: list[_Team] = field(default_factory=list)
    _live_workers: int = 1

    def __post_init__(self) -> None:
        self._bench = Workbench(self.options.device)

    def run(self) -> None:
        """Register, train until nothing is left or a stop is requested, release what is not finished.

        Raises RnnlabError when the worker cannot go on (disk full, corpus missing, device broken, table gone); its
        jobs are then released as far as the table can be reached, and rescued by others where it cannot.
        """
        with WorkerLock(self.workspace.workers_dir, self._id) as lock:
            device = str(self.options.device)
            self.store.register_worker(
                lock.record(device, now=self.store.clock(), lease_seconds=self.store.lease_seconds)
            )
            heartbeat = Heartbeat(self.store, self._id, on_rescue=self._tell_rescue, on_error=self._tell_error)
            heartbeat.start()
            try:
                self._loop(heartbeat)
                self._hand_back()
            except torch.AcceleratorError as error:
                raise WorkerStoppedError(
                    f"device {self.options.device} failed ({str(error).splitlines()[0]}) and is of no use to this "
                    "process any more: start a new worker; the jobs go on from their checkpoints"
                ) from error
            finally:
                heartbeat.stop()
                with contextlib.suppress(RnnlabError):
                    self.store.stop_worker(self._id)

    def _tell_rescue(self, job_ids: list[int]) -> None:
        self.view.message(f"took {len(job_ids)} jobs from a dead worker: they go on from their checkpoints")

    def _tell_error(self, error: Exception) -> None:
        self.view.message(f"heartbeat: {error}; trying again")

    def _loop(self, heartbeat: Heartbeat) -> None:
        while not self.stop_requested.is_set():
            if heartbeat.lost.is_set():
                raise WorkerStoppedError(
                    "the lease could not be renewed in time, so others may have taken over the jobs of this worker: "
                    "they go on from their checkpoints; start a new worker to join in"
                )
            self._admit()
            if not self._teams:
                if self._nothing_left():
                    return
                self.stop_requested.wait(_IDLE_SECONDS)
                continue
            for team in list(self._teams):
                if self.stop_requested.is_set():
                    return
                self._train_block(team)

    def _nothing_left(self) -> bool:
        if self._max_jobs_left() == 0:
            return True
        if self.options.watch:
            return False
        # While others train, stay: should one of them die, its jobs go on here.
        return self.store.open_count(self.options.experiment) == 0

    def _max_jobs_left(self) -> int | None:
        if self.options.max_jobs is None:
            return None
        taken = self.finished + self.failed + sum(len(team.places) for team in self._teams)
        return max(0, self.options.max_jobs - taken)

    # Claiming

    def _admit(self) -> None:
        """Claim what there is place for. Jobs that somebody began have the right of way, above the cohort's size."""
        self._live_workers = max(1, len(self.store.workers(alive_only=True)))
        self._claim_team(started_only=True)
        for team in list(self._teams):
            room = self._size_for(team.places[0].config) - len(team.places)
            if room > 0 and not team.alone:
                self._claim_into(team.group_key, room)
        if not self._teams:
            self._claim_team(started_only=False)

    def _claim_team(self, *, started_only: bool) -> None:
        """Claim the first job there is, then others of its group up to a cohort."""
        jobs = self._claim(1, group_key=None, started_only=started_only)
        if not jobs:
            return
        config = _config_of(jobs[0])
        more = self._size_for(config) - 1
        jobs += self._claim(more, group_key=config.group_key, started_only=started_only, in_hand=1)
        self._join(jobs)

    def _claim_into(self, group_key: str, room: int) -> None:
        if jobs := self._claim(room, group_key=group_key, started_only=False):
            self._join(jobs)

    def _claim(self, limit: int, *, group_key: str | None, started_only: bool, in_hand: int = 0) -> list[Job]:
        """Claim at most `limit` jobs, and no more than are allowed besides those `in_hand` that are in no team yet."""
        left = self._max_jobs_left()
        limit = limit if left is None else min(limit, left - in_hand)
        if limit < 1:
            return []
        return self.store.claim(
            self._id, limit, group_key=group_key, started_only=started_only, experiment=self.options.experiment
        )

    def _size_for(self, config: RunConfig) -> int:
        """The cohort's size: what suits the device, but not more than this worker's share of what is left."""
        wanted = self.options.cohort_size or cohort_size(config, self.options.device)
        resident = sum(len(team.places) for team in self._teams)
        share = -(-(self.store.pending_count(self.options.experiment) + resident + 1) // self._live_workers)
        return max(1, min(wanted, share))

    def _join(self, jobs: list[Job]) -> None:
        """Let claimed jobs join the cohort of their group, from their newest checkpoints."""
        places = [self._place(job) for job in jobs]
        team = next((t for t in self._teams if t.group_key == places[0].config.group_key and not t.alone), None)
        old = team.cohort.members() if team else []
        old_places = team.places if team else []
        due = team.checkpoint_at if team else None  # or joining again and again would put it off for ever
        resumed = [(place, member) for place in places if (member := self._try_resume(place))]
        # A job may have been killed between its last checkpoint and the commit: nothing is left but to commit it.
        self._finish([pair for pair in resumed if pair[1].state.is_finished(pair[1].config)])
        newcomers = [pair for pair in resumed if not pair[1].state.is_finished(pair[1].config)]
        if newcomers:
            if team:
                self._teams.remove(team)
            self._start([*old_places, *(p for p, _ in newcomers)], [*old, *(m for _, m in newcomers)], due=due)

    def _start(
        self, places: list[_Place], members: list[Member], *, alone: bool = False, due: float | None = None
    ) -> None:
        """Let these jobs train together, with their next checkpoint at `due`, or after the usual time."""
        try:
            cohort = self._bench.cohort(members)
        except _NOT_THE_JOBS_FAULT:
            raise
        except Exception:
            trace = traceback.format_exc()
            if len(places) == 1:
                self._fail(places[0], trace)
                return
            self._say_alone(places)
            for place, member in zip(places, members, strict=True):
                self._start([place], [member], alone=True, due=due)
            return
        due = time.monotonic() + self.options.checkpoint_seconds if due is None else due
        self._teams.append(_Team(places, cohort, due, alone))

    def _place(self, job: Job) -> _Place:
        return _Place(job, _config_of(job), self.workspace.run_dir(job.experiment, job.round, job.config_hash))

    def _try_resume(self, place: _Place) -> Member | None:
        """The job from its newest checkpoint, or None where that raised an exception, which has failed the job."""
        try:
            return self._resume(place)
        except _NOT_THE_JOBS_FAULT:
            raise
        except Exception:
            self._fail(place, traceback.format_exc())
            return None

    def _resume(self, place: _Place) -> Member:
        def complain(text: str) -> None:
            self.view.message(text)
            self._log(place, text)

        state = self._bench.resume(place.config, place.run_dir, complain)
        if state.step == 0 and place.job.step > 0:
            complain(
                f"job {place.job.id} was at step {place.job.step} but has no whole checkpoint in {place.run_dir}: "
                "it starts again"
            )
        self._log(place, f"claim {place.job.epoch} by worker {self._id} on {self.options.device}: step {state.step}")
        return Member(place.config, state)

    # Training

    def _train_block(self, team: _Team) -> None:
        deadline = time.monotonic() + _BLOCK_SECONDS
        begun = time.perf_counter()
        try:
            steps = team.cohort.run_block(
                _BLOCK_STEPS,
                threads_per_worker(self._live_workers),
                lambda: self.stop_requested.is_set() or time.monotonic() > deadline,
            )
        except Exception:
            self._contain(team, traceback.format_exc())
            return
        seconds = time.perf_counter() - begun
        for place in team.places:
            place.seconds += seconds / len(team.places)
        self.view.block_done(len(team.places), steps, seconds)
        if team.cohort.any_finished:
            self._retire(team)
        elif time.monotonic() >= team.checkpoint_at:
            self._checkpoint(team)

    def _contain(self, team: _Team, trace: str) -> None:
        """An exception stopped a cohort: train each job alone from its checkpoint, so that only the guilty fails."""
        self._teams.remove(team)
        if len(team.places) == 1:
            self._fail(team.places[0], trace)
            return
        self._say_alone(team.places)
        for place in team.places:
            if member := self._try_resume(place):
                self._start([place], [member], alone=True)

    def _say_alone(self, places: list[_Place]) -> None:
        self.view.message(f"a cohort of {len(places)} jobs raised an exception; each goes on alone")

    def _fail(self, place: _Place, trace: str) -> None:
        self._log(place, trace)
        with self._unless_stale(place):
            self.store.fail(place.job.claim, trace)
            self.failed += 1
            last_line = trace.strip().splitlines()[-1]
            self.view.message(f"job {place.job.id} failed: {last_line}; traceback in {place.run_dir / 'log.txt'}")

    def _retire(self, team: _Team) -> None:
        """Commit the finished members of a cohort; the others go on in a smaller one."""
        pairs = list(zip(team.places, team.cohort.members(), strict=True))
        self._teams.remove(team)
        rest = [(place, member) for place, member in pairs if not member.state.is_finished(place.config)]
        if rest:
            due = team.checkpoint_at
            self._start([place for place, _ in rest], [member for _, member in rest], alone=team.alone, due=due)
        self._finish([(place, member) for place, member in pairs if member.state.is_finished(place.config)])

    def _finish(self, done: list[tuple[_Place, Member]]) -> None:
        """Evaluate finished runs of one group on held-out text, write their final checkpoints and commit them."""
        if not done:
            return
        begun = time.perf_counter()
        try:
            results = self._bench.results([member for _, member in done], threads_per_worker(self._live_workers))
        except _NOT_THE_JOBS_FAULT:
            raise
        except Exception:
            trace = traceback.format_exc()
            if len(done) == 1:
                self._fail(done[0][0], trace)
            else:
                for pair in done:
                    self._finish([pair])
            return
        seconds = (time.perf_counter() - begun) / len(done)
        for (place, member), result in zip(done, results, strict=True):
            self._commit(place, member.state, result, place.seconds + seconds)

    def _commit(self, place: _Place, state: RunState, result: dict[str, Any], seconds: float) -> None:
        path = None
        if state.diverged_at_step is None:  # the weights of a diverged run are of no use to anybody
            path = self._final_checkpoint(place, state)
        result = result | {"checkpoint": str(path.relative_to(self.workspace.results_dir)) if path else None}
        with self._unless_stale(place):
            self.store.finish(place.job.claim, result, seconds, _curve_of(state), step=state.step)
            with contextlib.suppress(OSError):  # tidying up is no reason to stop
                checkpoint.keep_only(place.run_dir, path)
            self.finished += 1
            self._log(place, f"finished: {json.dumps(result)}")
            self.view.job_done(place.job, result)

    def _final_checkpoint(self, place: _Place, state: RunState) -> Path:
        try:
            return checkpoint.write(place.run_dir, place.config, state, place.job.epoch)
        except OSError as error:
            raise WorkerStoppedError(
                f"the final checkpoint of job {place.job.id} could not be written to {place.run_dir} "
                f"({error.strerror or error}): free some space, then start a worker again; nothing is lost but the "
                "work since the last checkpoint"
            ) from error

    def _checkpoint(self, team: _Team) -> int:
        """Write a checkpoint of every member and commit it. A full disk costs the checkpoint, not the run.

        Returns how many jobs could not be written.
        """
        lost: list[_Place] = []
        unwritten, reason = 0, ""
        for place, member in zip(team.places, team.cohort.members(), strict=True):
            try:
                checkpoint.write(place.run_dir, place.config, member.state, place.job.epoch)
            except OSError as error:
                unwritten, reason = unwritten + 1, error.strerror or str(error)
                continue
            with self._unless_stale(place, lost.append):
                self.store.commit_progress(place.job.claim, member.state.step, place.seconds, _curve_of(member.state))
                place.seconds = 0.0
        if unwritten:
            results = self.workspace.results_dir
            self.view.message(f"no checkpoint of {unwritten} jobs in {results} ({reason}): they have the one before")
        team.checkpoint_at = time.monotonic() + self.options.checkpoint_seconds
        if lost:
            self._drop(team, lost)
        return unwritten

    def _drop(self, team: _Team, lost: list[_Place]) -> None:
        """Leave jobs that were taken over to their new owners; their neighbours go on."""
        self._teams.remove(team)
        pairs = zip(team.places, team.cohort.members(), strict=True)
        kept = [(place, member) for place, member in pairs if place not in lost]
        if kept:
            self._start([place for place, _ in kept], [member for _, member in kept], alone=team.alone)

    def _hand_back(self) -> None:
        """Graceful end: checkpoint and release whatever is in training."""
        unwritten = sum(self._checkpoint(team) for team in list(self._teams))
        claims = [place.job.claim for team in self._teams for place in team.places]
        self.store.release(claims)
        if claims:
            unless = f", but for {unwritten} that have only the one before" if unwritten else ""
            self.view.message(f"{len(claims)} jobs are released, with a checkpoint of where they stand{unless}")

    @contextlib.contextmanager
    def _unless_stale(self, place: _Place, then: Callable[[_Place], object] = lambda place: None) -> Iterator[None]:
        try:
            yield
        except StaleClaimError as error:
            self._log(place, str(error))
            self.view.message(f"{error}; left to its new owner")
            then(place)

    def _log(self, place: _Place, text: str) -> None:
        """One line, or a traceback, in the job's own log. The log is for people: a full disk must not stop the job."""
        with contextlib.suppress(OSError):
            place.run_dir.mkdir(parents=True, exist_ok=True)
            with (place.run_dir / "log.txt").open("a", encoding="utf-8") as stream:
                stream.write(f"{datetime.now().astimezone().isoformat(timespec='milliseconds')} {text}\n")


def _config_of(job: Job) -> RunConfig:
    return parse_run_config(json.loads(job.payload))


def _curve_of(state: RunState) -> Curve:
    return Curve(list(state.curve_steps), {"ema_loss": list(state.curve_ema_loss)})
