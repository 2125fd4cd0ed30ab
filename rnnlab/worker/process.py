"""One worker process: shift after shift, until nothing is left to do."""

import threading

import torch

from rnnlab.errors import DatabaseAwayError, TakenForDeadError, WorkerStoppedError
from rnnlab.files import Workspace
from rnnlab.kernels.build import DISABLED, unavailable_reason
from rnnlab.queue.database import sibling_engine
from rnnlab.queue.store import Store
from rnnlab.training.cohort_size.measured_sizes import default_path
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import Workbench
from rnnlab.worker.active_cohort import Team
from rnnlab.worker.job_committer import Tally
from rnnlab.worker.session import Shift
from rnnlab.worker.worker_options import WorkerOptions, WorkerView

# A transaction waits so long for a locked database; then the worker looks whether it has to stop, and waits on.
_TURN_SECONDS = 5.0


class Worker:
    """One worker. `run` returns when nothing is left to do, or after `stop_requested` was set.

    A worker that was taken for dead (stopped for longer than its lease, cut off from the database) drops its jobs,
    which others have by then, and carries on under a new name.
    """

    def __init__(self, store: Store, workspace: Workspace, options: WorkerOptions, view: WorkerView) -> None:
        self.stop_requested = threading.Event()
        engine = sibling_engine(store.engine, busy_seconds=_TURN_SECONDS)
        self._store = Store(engine, lease_seconds=store.lease_seconds, clock=store.clock)
        self._workspace = workspace
        self._options = options
        self._view = view
        self._bench = Workbench(options.device)
        self._sizes = CohortSizes(
            self._bench, default_path(), tell=view.message, should_stop=self.stop_requested.is_set
        )
        self._tally = Tally()
        self._shift = self._next_shift()

    def _next_shift(self) -> Shift:
        return Shift(
            self._store,
            self._workspace,
            self._options,
            self._view,
            self._bench,
            self._sizes,
            self._tally,
            self.stop_requested,
        )

    @property
    def finished(self) -> int:
        """Jobs that this worker has ended with a result."""
        return self._tally.finished

    @property
    def failed(self) -> int:
        """Jobs that this worker has ended with an exception."""
        return self._tally.failed

    @property
    def teams(self) -> list[Team]:
        """What is in training."""
        return self._shift.teams.in_training

    def run(self) -> None:
        """Train until nothing is left or a stop is requested; release what is not finished.

        Raises RnnlabError when the worker cannot go on (disk full, corpus missing, device broken, table gone); its
        jobs are then released as far as the table can be reached, and rescued by others where it cannot.
        """
        reason = unavailable_reason() if self._options.device.type == "cpu" else None
        if reason not in (None, DISABLED):
            self._view.message(f"training steps are done by torch, which is several times slower: {reason}")
        try:
            self._shifts()
        finally:
            self._store.engine.dispose()

    def _shifts(self) -> None:
        while True:
            try:
                self._shift.run()
                return
            except TakenForDeadError as error:
                if self.stop_requested.is_set():
                    return
                self._view.message(f"{error}: its jobs go on elsewhere; carrying on with other work")
                self._shift = self._next_shift()
            except DatabaseAwayError as error:
                if not self.stop_requested.is_set():
                    raise
                self._view.message(f"{error}; its jobs go on from their checkpoints when others take them")
                return
            except torch.AcceleratorError as error:
                raise WorkerStoppedError(
                    f"device {self._options.device} failed ({str(error).splitlines()[0]}) and is of no use to this "
                    "process any more: start a new worker; the jobs go on from their checkpoints"
                ) from error
