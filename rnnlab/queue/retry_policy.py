"""Waiting for a database that does not answer at the moment: its server restarts, or a lock is held for too long."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from rnnlab.errors import DatabaseAwayError, TakenForDeadError

_WORKER_PAUSE_SECONDS = 0.5
_WORKER_STOP_SECONDS = 10.0  # schedulers commonly give 30 s between SIGTERM and SIGKILL
_COMMAND_PAUSE_SECONDS = 0.2
_Result = TypeVar("_Result")


def _never() -> bool:
    return False


class RetryPolicy:
    """Repeats a call to the store until the database answers, or until there is a reason to stop waiting.

    A call whose answer was lost may have been executed. Every write is fenced, so that repeating it is harmless. But a
    claim may have succeeded without the knowledge of the worker: `was_needed` shows that the worker must check this.
    """

    def __init__(
        self,
        report: Callable[[str], object],
        *,
        pause_seconds: float,
        stop_requested: Callable[[], bool] = _never,
        stop_seconds: float = 0.0,
        lease_lost: Callable[[], bool] = _never,
    ) -> None:
        """Create a policy.

        report: is called with a message once for each call that has to wait.
        pause_seconds: time between two attempts.
        stop_requested: whether the process has to stop. stop_seconds: how long it waits for the database after that.
        lease_lost: whether the lease of the worker has expired; no attempt is made after that.
        """
        self.was_needed = False  # whether any call had to be repeated; the owner may reset it
        self._report = report
        self._pause_seconds = pause_seconds
        self._stop_requested = stop_requested
        self._stop_seconds = stop_seconds
        self._lease_lost = lease_lost
        self._deadline: float | None = None  # time.monotonic() of the last attempt after a stop request

    @classmethod
    def for_worker(
        cls, report: Callable[[str], object], stop_requested: threading.Event, lease_lost: threading.Event
    ) -> "RetryPolicy":
        """The policy of a worker: after a stop request it waits 10 s, so that it can still release its jobs."""
        return cls(
            report,
            pause_seconds=_WORKER_PAUSE_SECONDS,
            stop_requested=stop_requested.is_set,
            stop_seconds=_WORKER_STOP_SECONDS,
            lease_lost=lease_lost.is_set,
        )

    @classmethod
    def for_command(cls, report: Callable[[str], object], stop_requested: Callable[[], bool] = _never) -> "RetryPolicy":
        """The policy of a long-running command: it waits as long as the workers do, and stops on request at once."""
        return cls(report, pause_seconds=_COMMAND_PAUSE_SECONDS, stop_requested=stop_requested)

    def __call__(self, call: Callable[[], _Result]) -> _Result:
        """Return the result of `call`, after as many attempts as necessary.

        Raises TakenForDeadError if the lease is lost. Raises DatabaseAwayError if a stop was requested and the database
        does not answer in time. If a worker cannot release its jobs, other workers declare it dead, which costs each
        job one death.
        """
        reported = False
        while True:
            try:
                return call()
            except DatabaseAwayError as error:
                self.was_needed = True
                if self._must_stop():
                    raise
                if self._lease_lost():
                    raise TakenForDeadError(f"{error}, for longer than the lease of this worker") from error
                if not reported:
                    self._report(f"{error}; waiting for it")
                    reported = True
                time.sleep(self._pause_seconds)

    def _must_stop(self) -> bool:
        if not self._stop_requested():
            return False
        if self._deadline is None:
            self._deadline = time.monotonic() + self._stop_seconds
        return time.monotonic() >= self._deadline
