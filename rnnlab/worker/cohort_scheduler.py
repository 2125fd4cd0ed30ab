"""What a worker trains: how jobs join teams and leave them, blocks of training, checkpoints, ends."""

import threading
import time
import traceback
from collections.abc import Callable, Collection, Sequence

import torch

from rnnlab.errors import CheckpointError
from rnnlab.queue.job import Job
from rnnlab.queue.liveness import host_name
from rnnlab.queue.store import Store
from rnnlab.training.cohort import Member
from rnnlab.training.context import Workbench
from rnnlab.training.engines.native_engine import arithmetic_of
from rnnlab.training.memory_errors import is_out_of_memory
from rnnlab.training.resources import threads_for
from rnnlab.worker.active_cohort import Place, Team, Trainee
from rnnlab.worker.checkpoint_writer import Checkpoints
from rnnlab.worker.job_committer import NOT_THE_JOBS_FAULT, Ledger
from rnnlab.worker.retry_policy import Patience
from rnnlab.worker.worker_options import WorkerOptions, WorkerView

_BLOCK_SECONDS = 1.0  # a block ends after this time: how soon a stop, a rescue or a free place is noticed
_BLOCK_STEPS = 100  # and after this many steps: how many symbols are laid out at once


class Teams:
    """The teams of one registration of a worker. Whoever changes them waits first for checkpoints that are written."""

    def __init__(
        self,
        store: Store,
        worker_id: str,
        options: WorkerOptions,
        view: WorkerView,
        bench: Workbench,
        ledger: Ledger,
        patience: Patience,
        stop_requested: threading.Event,
        at_most: Callable[[str, int], None],
    ) -> None:
        """`at_most`: told of a group key whose cohorts must not be larger, as the memory was not enough."""
        self.in_training: list[Team] = []
        self.live_here = 1  # workers on this host: they share its cores
        self._store = store
        self._id = worker_id
        self._options = options
        self._view = view
        self._bench = bench
        self._ledger = ledger
        self._patience = patience
        self._stop_requested = stop_requested
        self._at_most = at_most
        self._checkpoints = Checkpoints(ledger)

    def join(self, jobs: Sequence[Job], *, on_trial: bool = False) -> None:
        """Let claimed jobs of one group join its cohort, from their newest checkpoints.

        on_trial: it is one that may have killed its workers; it goes alone, and has a checkpoint after its first block.
        """
        if not jobs:
            return
        self._settle()
        trainees = [one for job in jobs if (one := self._try_resume(self._ledger.place(job)))]
        # A job may have been killed between its last checkpoint and the commit: nothing is left but to commit it.
        self._finish([one for one in trainees if _is_finished(one)])
        newcomers = [one for one in trainees if not _is_finished(one)]
        if not newcomers:
            return
        if on_trial:
            self._start(newcomers, alone=True, due=time.monotonic(), on_trial=True)
            return
        group_key = newcomers[0][0].config.group_key
        team = next((team for team in self.in_training if team.group_key == group_key and not team.alone), None)
        if team is None:
            self._start(newcomers)
            return
        self.in_training.remove(team)
        # The checkpoint stays due when it was: joining again and again must not put it off for ever.
        self._start([*team.trainees(), *newcomers], due=team.checkpoint_at)

    def train_block(self, team: Team) -> None:
        """A block of steps; then the ends of those that are done, or checkpoints where they are due."""
        deadline = time.monotonic() + _BLOCK_SECONDS
        begun = time.perf_counter()
        try:
            steps = team.cohort.run_block(
                _BLOCK_STEPS,
                threads_for(team.places[0].config, self.live_here),
                lambda: self._stop_requested.is_set() or time.monotonic() > deadline,
            )
        except torch.AcceleratorError:
            raise
        except Exception as error:
            self.in_training.remove(team)
            gone = self._settle()
            if left := [place for place in team.places if place not in gone]:
                self._take_apart(left, error)
            return
        seconds = time.perf_counter() - begun
        for place in team.places:
            place.seconds += seconds / len(team.places)
        self._view.block_done(len(team.places), steps, seconds)
        if team.cohort.any_finished:
            self._retire(team)
        elif time.monotonic() >= team.checkpoint_at:
            self._begin_checkpoint(team)

    def grant(self, wishes: Collection[int]) -> None:
        """Checkpoint the jobs that are to be paused or cancelled, by their ids, and let them go."""
        if not wishes:
            return
        self._settle()
        for team in list(self.in_training):
            if any(place.job.id in wishes for place in team.places):
                gone, _ = self._checkpoint(team)
                wished = [place for place in team.places if place.job.id in wishes and place not in gone]
                self._keep(team, without=[*gone, *(place for place in wished if self._ledger.grant(place))])

    def look_at_checkpoints(self) -> None:
        """Let jobs go that were taken over or failed, as far as it is known by now."""
        if not self._checkpoints.in_work:
            self._settle()

    def hand_back(self) -> None:
        """Graceful end: checkpoint and release whatever is in training."""
        self._settle()
        unwritten = 0
        for team in list(self.in_training):
            gone, missing = self._checkpoint(team)
            self._keep(team, without=gone)
            unwritten += missing
        self._ledger.release([place for team in self.in_training for place in team.places], unwritten)

    def close(self) -> None:
        """Wait for checkpoints that are being written."""
        self._checkpoints.close()

    def _start(
        self, trainees: Sequence[Trainee], *, alone: bool = False, due: float | None = None, on_trial: bool = False
    ) -> None:
        """Let these jobs train together, with their next checkpoint at `due`, or after the usual time."""
        if due is None:
            due = time.monotonic() + self._options.checkpoint_seconds
        places = [place for place, _ in trainees]
        try:
            cohort = self._bench.cohort([member for _, member in trainees])
        except NOT_THE_JOBS_FAULT:
            raise
        except Exception as error:
            self._take_apart(places, error)
            return
        self.in_training.append(Team(places, cohort, due, alone, on_trial))

    def _try_resume(self, place: Place) -> Trainee | None:
        """The job from its newest checkpoint, or None where that raised an exception, which has failed the job."""
        try:
            return place, self._resume(place)
        except NOT_THE_JOBS_FAULT:
            raise
        except Exception:
            self._ledger.fail(place, traceback.format_exc())
            return None

    def _resume(self, place: Place) -> Member:
        def complain(text: str) -> None:
            self._view.message(text)
            place.log(text)

        state = self._bench.resume(place.config, place.run_dir, complain)
        if state.step == 0 and place.job.step > 0:
            self._refuse_unseen(place)
            complain(
                f"job {place.job.id} was at step {place.job.step} but has no whole checkpoint in {place.run_dir}: "
                "it starts again"
            )
        device = self._options.device
        where = f"worker {self._id} on {device}, {arithmetic_of(place.config.model, device)} kernels"
        place.log(f"claim {place.job.epoch} by {where}: step {state.step}")
        return Member(place.config, state)

    def _refuse_unseen(self, place: Place) -> None:
        """A checkpoint that another host wrote is not lost, only out of sight: training it again would waste it."""
        history = self._patience(lambda: self._store.events(place.job.id, limit=None))
        # Whoever claimed it at this step after that has made none; before the first of these claims somebody has.
        first = next(n for n, event in enumerate(history) if event.detail == f"step {place.job.step}")
        hosts = {record.id: record.host for record in self._patience(self._store.workers)}
        host = next((hosts.get(event.worker_id) for event in reversed(history[:first]) if event.worker_id), None)
        if host is not None and host != host_name():
            raise CheckpointError(
                f"job {place.job.id} is at step {place.job.step} by a worker on host {host}, but its checkpoint cannot "
                f"be seen on {host_name()}: there is nothing in {place.run_dir}; share the results folder between the "
                "hosts, or name the shared one with --results"
            )

    def _take_apart(self, places: Sequence[Place], error: Exception) -> None:
        """An exception stopped a cohort: smaller ones from the checkpoints, so that only the guilty job fails.

        Out of memory, one half goes on, the other half goes back to the queue, and larger cohorts of the group are not
        claimed any more. Otherwise each job goes on alone.
        """
        if len(places) == 1:
            self._ledger.fail(places[0], "".join(traceback.format_exception(error)))
        elif is_out_of_memory(error):
            half = len(places) // 2
            self._at_most(places[0].config.group_key, half)
            self._view.message(f"not enough memory for {len(places)} jobs at once: going on with {half}")
            back = [place.job.claim for place in places[half:]]
            self._patience(lambda: self._store.release(back))
            self._restart(places[:half])
        else:
            self._view.message(f"a cohort of {len(places)} jobs raised an exception; each goes on alone")
            for place in places:
                self._restart([place], alone=True)

    def _restart(self, places: Sequence[Place], *, alone: bool = False) -> None:
        trainees = [one for place in places if (one := self._try_resume(place))]
        self._finish([one for one in trainees if _is_finished(one)])
        if rest := [one for one in trainees if not _is_finished(one)]:
            self._start(rest, alone=alone)

    def _retire(self, team: Team) -> None:
        """Commit the finished members of a cohort; the others go on in a smaller one."""
        self.in_training.remove(team)
        gone = self._settle()
        trainees = [one for one in team.trainees() if one[0] not in gone]
        rest = [one for one in trainees if not _is_finished(one)]
        if rest:
            self._start(rest, alone=team.alone, due=team.checkpoint_at)
        self._finish([one for one in trainees if _is_finished(one)])

    def _finish(self, done: Sequence[Trainee]) -> None:
        if done:
            self._ledger.finish(done, threads_for(done[0][0].config, self.live_here))

    def _begin_checkpoint(self, team: Team) -> None:
        """Have checkpoints of a team written while it trains on."""
        self._settle()
        if team in self.in_training:  # else some of it are gone, and the others do this after their next block
            team.checkpoint_at = time.monotonic() + self._options.checkpoint_seconds
            self._checkpoints.begin(team.trainees())

    def _checkpoint(self, team: Team) -> tuple[list[Place], int]:
        """The same at once: which places are gone, and how many checkpoints could not be written."""
        self._checkpoints.begin(team.trainees())
        return self._wait()

    def _settle(self) -> list[Place]:
        """Wait for the checkpoints that are being written; jobs that are gone leave, and are returned."""
        gone, _ = self._wait()
        for team in list(self.in_training):
            self._keep(team, without=[place for place in team.places if place in gone])
        return gone

    def _wait(self) -> tuple[list[Place], int]:
        """Jobs that were taken over, or whose checkpoint raised an exception, which fails them; and the unwritten."""
        written = self._checkpoints.wait()
        if written.committed:
            for team in self.in_training:
                team.on_trial = False
        for place, trace in written.failed:
            self._ledger.fail(place, trace)
        return [*written.lost, *(place for place, _ in written.failed)], written.unwritten

    def _keep(self, team: Team, *, without: Sequence[Place]) -> None:
        """Let some jobs leave a team; their neighbours go on."""
        if without:
            self.in_training.remove(team)
            kept = [one for one in team.trainees() if one[0] not in without]
            if kept:
                self._start(kept, alone=team.alone, due=team.checkpoint_at)


def _is_finished(one: Trainee) -> bool:
    place, member = one
    return member.state.is_finished(place.config)
