"""Transactions on an engine of `open_database`. Every error of the database comes out as one DatabaseError."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine

from rnnlab.errors import DatabaseAwayError
from rnnlab.queue.dialects import takes_changes_in_queries

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


def write(engine: Engine, body: Callable[[Connection], _Result], *, one_statement: bool = False) -> _Result:
    """What `body` returns, from within a writing transaction; after a collision it is called once more, in a new one.

    one_statement: at most one statement of the body changes anything, where the database takes changes in queries; it
    is then a transaction by itself, which saves two round trips to a server.

    Raises DatabaseError like `write_transaction`.
    """
    by_itself = one_statement and takes_changes_in_queries(engine.dialect.name)
    transaction = _statements if by_itself else write_transaction
    try:
        with transaction(engine) as connection:
            return body(connection)
    except CollisionError:
        time.sleep(random.uniform(*_PAUSE_SECONDS))
        with transaction(engine) as connection:
            return body(connection)


@contextmanager
def _statements(engine: Engine) -> Iterator[Connection]:
    """A connection on which each statement is a transaction by itself."""
    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True}, isolation_level="AUTOCOMMIT")
        yield connection
