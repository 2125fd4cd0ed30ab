"""Transactions on an engine of `open_database`. Every error of the database comes out as one DatabaseError."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine

from rnnlab.errors import DatabaseAwayError

WRITES = "rnnlab_writes"  # execution option of a connection: its transactions are going to write
_PAUSE_SECONDS = (0.02, 0.1)  # after a collision, so that the other one gets through
_Result = TypeVar("_Result")


class CollisionError(DatabaseAwayError):
    """The database has ended the transaction because it collided with another one; a second try is safe."""


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; committed at the end, rolled back by an exception.

    Raises DatabaseError when the database is locked for too long, full, read-only, damaged or out of reach. When it
    went out of reach during the commit, the transaction may have been carried out all the same.
    """
    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            yield connection


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads one snapshot and takes no write lock. Raises DatabaseError like `write_transaction`."""
    with engine.connect() as connection, connection.begin():
        yield connection


def write(engine: Engine, body: Callable[[Connection], _Result]) -> _Result:
    """What `body` returns, from within a writing transaction; after a collision it is called once more, in a new one.

    Raises DatabaseError like `write_transaction`.
    """
    try:
        with write_transaction(engine) as connection:
            return body(connection)
    except CollisionError:
        time.sleep(random.uniform(*_PAUSE_SECONDS))
        with write_transaction(engine) as connection:
            return body(connection)
