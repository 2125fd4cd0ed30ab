"""Waiting for a database that does not answer for now: a server that restarts, a lock that somebody holds too long."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from rnnlab.errors import DatabaseAwayError, TakenForDeadError
from rnnlab.worker.worker_options import WorkerView

_RETRY_SECONDS = 0.5
_LEAVING_SECONDS = 10.0  # schedulers commonly give 30 s between SIGTERM and SIGKILL
_Result = TypeVar("_Result")


class Patience:
    """Calls to the store are tried again until the database answers, or until the worker has to stop.

    A call whose answer was lost may have been carried out. Every write is fenced, so that doing it again is harmless;
    but a claim may have been granted without anybody knowing: `was_needed` says that one should look.
    """

    def __init__(self, view: WorkerView, stop_requested: threading.Event, in_vain: Callable[[], bool]) -> None:
        """`in_vain`: whether there is nothing to wait for any more, because the lease has run out."""
        self.was_needed = False
        self._view = view
        self._stop_requested = stop_requested
        self._in_vain = in_vain
        self._leave_at: float | None = None  # time.monotonic() when a stop waits no longer

    def __call__(self, call: Callable[[], _Result]) -> _Result:
        """What `call` returns.

        Raises TakenForDeadError when the wait is in vain, and DatabaseAwayError when a stop was requested and the
        database does not come back in time for the jobs to be given back: others then take the worker for dead, which
        costs its jobs one death.
        """
        told = False
        while True:
            try:
                return call()
            except DatabaseAwayError as error:
                self.was_needed = True
                if self._leaves_without():
                    raise
                if self._in_vain():
                    raise TakenForDeadError(f"{error}, for longer than the lease of this worker") from error
                if not told:
                    self._view.message(f"{error}; waiting for it")
                    told = True
                time.sleep(_RETRY_SECONDS)

    def _leaves_without(self) -> bool:
        if not self._stop_requested.is_set():
            return False
        if self._leave_at is None:
            self._leave_at = time.monotonic() + _LEAVING_SECONDS
        return time.monotonic() > self._leave_at
