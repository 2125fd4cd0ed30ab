"""One worker process: one session after another, until no job is left."""

import threading

import torch

from rnnlab.errors import DatabaseAwayError, TakenForDeadError, WorkerStoppedError
from rnnlab.files import Workspace
from rnnlab.kernels.build import DISABLED, unavailable_reason
from rnnlab.queue.database import sibling_engine
from rnnlab.queue.liveness import new_worker_id
from rnnlab.queue.retry_policy import RetryPolicy
from rnnlab.queue.store import Store
from rnnlab.training.cohort_size.measured_sizes import default_path
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import TrainingContext
from rnnlab.worker.active_cohort import ActiveCohort
from rnnlab.worker.session import WorkerSession
from rnnlab.worker.worker_context import JobCounts, WorkerContext
from rnnlab.worker.worker_options import WorkerOptions, WorkerView

# How long a transaction waits for a locked database. Then the worker checks whether it has to stop, and waits again.
_BUSY_SECONDS = 5.0


class Worker:
    """One worker. `run` returns when no job is left, or after `stop_requested` was set.

    A worker that was declared dead (it was suspended for longer than its lease, or cut off from the database) drops its
    jobs, which other workers have taken, and continues with other jobs under a new id.
    """

    def __init__(self, store: Store, workspace: Workspace, options: WorkerOptions, view: WorkerView) -> None:
        self.stop_requested = threading.Event()
        engine = sibling_engine(store.engine, busy_seconds=_BUSY_SECONDS)
        self._store = Store(engine, lease_seconds=store.lease_seconds, clock=store.clock)
        self._workspace = workspace
        self._options = options
        self._view = view
        self._training = TrainingContext(options.device)
        self._cohort_sizes = CohortSizes(
            self._training, default_path(), tell=view.message, should_stop=self.stop_requested.is_set
        )
        self._counts = JobCounts()
        self._session = self._new_session()

    def _new_session(self) -> WorkerSession:
        lease_lost = threading.Event()
        return WorkerSession(
            WorkerContext(
                worker_id=new_worker_id(),
                store=self._store,
                workspace=self._workspace,
                options=self._options,
                view=self._view,
                training=self._training,
                cohort_sizes=self._cohort_sizes,
                counts=self._counts,
                stop_requested=self.stop_requested,
                lease_lost=lease_lost,
                retry=RetryPolicy.for_worker(self._view.message, self.stop_requested, lease_lost),
            )
        )

    @property
    def finished(self) -> int:
        """Number of jobs that this worker has ended with a result."""
        return self._counts.finished

    @property
    def failed(self) -> int:
        """Number of jobs that this worker has ended with an exception."""
        return self._counts.failed

    @property
    def active_cohorts(self) -> list[ActiveCohort]:
        """The cohorts that this worker trains now."""
        return self._session.scheduler.cohorts

    def run(self) -> None:
        """Train until no job is left or a stop is requested; release unfinished jobs.

        Raises RnnlabError if the worker cannot continue (disk full, corpus missing, device broken, table missing). Its
        jobs are then released if the table can be reached, and otherwise rescued by other workers.
        """
        reason = unavailable_reason() if self._options.device.type == "cpu" else None
        if reason not in (None, DISABLED):
            self._view.message(f"torch performs the training steps, which is several times slower: {reason}")
        try:
            self._run_sessions()
        finally:
            self._store.engine.dispose()

    def _run_sessions(self) -> None:
        while True:
            try:
                self._session.run()
                return
            except TakenForDeadError as error:
                if self.stop_requested.is_set():
                    return
                self._view.message(f"{error}: other workers continue its jobs; this worker continues with other jobs")
                self._session = self._new_session()
            except DatabaseAwayError as error:
                if not self.stop_requested.is_set():
                    raise
                self._view.message(f"{error}; its jobs resume from their checkpoints when other workers claim them")
                return
            except torch.AcceleratorError as error:
                raise WorkerStoppedError(
                    f"device {self._options.device} failed ({str(error).splitlines()[0]}); this worker cannot "
                    "continue: start a new worker; its jobs resume from their checkpoints"
                ) from error
