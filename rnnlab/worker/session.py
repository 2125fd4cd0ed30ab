"""One registration of a worker: the loop of claiming, training, committing under one name."""

import contextlib
import threading

from rnnlab.errors import DatabaseAwayError, RnnlabError, TakenForDeadError
from rnnlab.files import Workspace
from rnnlab.queue.heartbeat import Heartbeat
from rnnlab.queue.liveness import WorkerLock, new_worker_id
from rnnlab.queue.store import Store
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import TrainingContext
from rnnlab.worker.claims import Claims, Live
from rnnlab.worker.cohort_scheduler import Teams
from rnnlab.worker.job_committer import Ledger, Tally
from rnnlab.worker.retry_policy import Patience
from rnnlab.worker.worker_options import WorkerOptions, WorkerView

_IDLE_SECONDS = 0.5  # between two looks at a table with nothing to claim


class Shift:
    """From the registration under a new name to the orderly end, or to being taken for dead."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        options: WorkerOptions,
        view: WorkerView,
        bench: TrainingContext,
        sizes: CohortSizes,
        tally: Tally,
        stop_requested: threading.Event,
    ) -> None:
        self._store = store
        self._workspace = workspace
        self._options = options
        self._view = view
        self._tally = tally
        self._stop_requested = stop_requested
        self._id = new_worker_id()
        self._heartbeat: Heartbeat | None = None
        self._patience = Patience(view, stop_requested, self._is_lost)
        self._ledger = Ledger(store, workspace, bench, view, tally, self._patience, allow_code=options.allow_code)
        self._claims = Claims(
            store, self._id, options, self._patience, sizes, lambda job: self._ledger.place(job).config
        )
        self.teams = Teams(
            store, self._id, options, view, bench, self._ledger, self._patience, stop_requested, self._claims.at_most
        )

    def run(self) -> None:
        """Register, train until nothing is left or a stop is requested, release what is not finished.

        Raises TakenForDeadError when the lease could not be renewed, and other RnnlabErrors when the worker cannot go
        on; its jobs are then released as far as the table can be reached, and rescued by others where it cannot.
        """
        with WorkerLock(self._workspace.workers_dir, self._id) as lock:
            device = str(self._options.device)
            self._patience(
                lambda: self._store.register_worker(
                    lock.record(device, now=self._store.clock(), lease_seconds=self._store.lease_seconds)
                )
            )
            heartbeat = Heartbeat(
                self._store,
                self._id,
                heartbeat_seconds=self._options.heartbeat_seconds,
                on_rescue=self._tell_rescue,
                on_error=self._tell_error,
            )
            self._heartbeat = heartbeat
            heartbeat.start()
            reachable = True
            try:
                self._loop()
                self.teams.hand_back()
            except DatabaseAwayError:
                reachable = False  # to wait for it once more would take too long
                raise
            finally:
                self.teams.close()
                heartbeat.stop()
                if reachable:
                    with contextlib.suppress(RnnlabError):
                        self._store.stop_worker(self._id)
                        lock.remove()

    def _is_lost(self) -> bool:
        return self._heartbeat is not None and self._heartbeat.lost.is_set()

    def _tell_rescue(self, job_ids: list[int]) -> None:
        self._view.message(f"took {len(job_ids)} jobs from a dead worker: they go on from their checkpoints")

    def _tell_error(self, error: Exception) -> None:
        self._view.message(f"heartbeat: {error}; trying again")

    def _loop(self) -> None:
        while not self._stop_requested.is_set():
            if self._is_lost():
                raise TakenForDeadError(f"the lease of worker {self._id} could not be renewed in time")
            self._admit()
            if not self.teams.in_training:
                if self._nothing_left():
                    return
                self._stop_requested.wait(_IDLE_SECONDS)
                continue
            for team in list(self.teams.in_training):
                if self._stop_requested.is_set():
                    return
                if team in self.teams.in_training:  # else a smaller one has taken its place
                    self.teams.train_block(team)

    def _nothing_left(self) -> bool:
        if not self._claims.jobs_allowed(self.teams.in_training, self._tally.ended):
            return True
        if self._options.watch:
            return False
        # While others train, stay: should one of them die, its jobs go on here.
        return not self._patience(lambda: self._store.any_open(self._options.experiment))

    def _admit(self) -> None:
        """Do what operators wish, then claim what there is place for."""
        teams, claims = self.teams, self._claims
        teams.look_at_checkpoints()
        if teams.in_training:
            teams.grant(self._patience(lambda: self._store.requests(self._id)))
        self._return_unknown_claims()
        live = Live.of(self._patience(lambda: self._store.workers(alive_only=True)))
        teams.live_here = live.here
        if any(team.on_trial for team in teams.in_training):
            return
        teams.join(claims.begun_by_others(teams.in_training, self._tally.ended, live))
        for team in list(teams.in_training):
            if not team.alone:
                teams.join(claims.refill(team, teams.in_training, self._tally.ended, live))
        if not teams.in_training:
            teams.join(claims.suspect(self._tally.ended), on_trial=True)
        if not teams.in_training:
            teams.join(claims.next_cohort(teams.in_training, self._tally.ended, live))

    def _return_unknown_claims(self) -> None:
        """A claim whose answer was lost with the connection holds jobs that nobody trains."""
        if self._patience.was_needed:
            self._patience.was_needed = False
            known = {place.job.claim for team in self.teams.in_training for place in team.places}
            held = self._patience(lambda: self._store.held_by(self._id))
            self._patience(lambda: self._store.release([claim for claim in held if claim not in known]))
