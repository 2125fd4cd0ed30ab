"""Commands that go on for long wait for a database that is away: a server that restarts, a table that is locked."""

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from rnnlab.errors import DatabaseAwayError

_RETRY_SECONDS = 0.2
_Result = TypeVar("_Result")


def patiently(call: Callable[[], _Result], in_vain: Callable[[], bool] = lambda: False) -> _Result:
    """What `call` returns, however long the database is away: the workers wait for it too.

    Raises DatabaseAwayError when it does not answer and `in_vain` says that there is nothing to wait for any more.
    """
    told = False
    while True:
        try:
            return call()
        except DatabaseAwayError as error:
            if in_vain():
                raise
            if not told:
                print(f"{error}; waiting for it", file=sys.stderr, flush=True)
                told = True
            time.sleep(_RETRY_SECONDS)
