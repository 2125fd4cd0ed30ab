"""Waiting for a database that does not answer for now: a server that restarts, a lock that somebody holds too long."""

import threading
from collections.abc import Callable
from typing import TypeVar

from rnnlab.errors import DatabaseAwayError
from rnnlab.worker.options import WorkerView

_RETRY_SECONDS = 1.0
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

    def __call__(self, call: Callable[[], _Result]) -> _Result:
        """What `call` returns. Raises DatabaseAwayError when the wait is in vain or a stop was requested meanwhile."""
        told = False
        while True:
            try:
                return call()
            except DatabaseAwayError as error:
                self.was_needed = True
                if self._in_vain() or self._stop_requested.is_set():
                    raise
                if not told:
                    self._view.message(f"{error}; waiting for it")
                    told = True
                self._stop_requested.wait(_RETRY_SECONDS)
