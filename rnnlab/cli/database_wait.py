"""Waiting for an unavailable database, in long-running commands: a server that restarts, a table that is locked."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from rnnlab.errors import DatabaseAwayError

_RETRY_SECONDS = 0.2
_Result = TypeVar("_Result")


def patiently(call: Callable[[], _Result], in_vain: Callable[[], bool] = lambda: False) -> _Result:
    """The result of `call`, repeated as long as the database is unavailable. Workers wait for it, too.

    Raises DatabaseAwayError if the database is unavailable and `in_vain()` is true: waiting has become pointless.
    """
    reported = False
    while True:
        try:
            return call()
        except DatabaseAwayError as error:
            if in_vain():
                raise
            if not reported:
                print(f"{error}; waiting for it", file=sys.stderr, flush=True)
                reported = True
            time.sleep(_RETRY_SECONDS)
