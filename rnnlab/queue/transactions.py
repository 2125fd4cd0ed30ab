"""Transactions on an engine of `open_database`. Every error of the database is raised as a DatabaseError."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine

from rnnlab.errors import DatabaseAwayError
from rnnlab.queue.dialects import takes_changes_in_queries

WRITES = "rnnlab_writes"  # execution option of a connection: its transactions will write
_PAUSE_SECONDS = (0.02, 0.1)  # after a conflict, so that the other transaction can finish
_Result = TypeVar("_Result")


class CollisionError(DatabaseAwayError):
    """The database aborted the transaction because of a conflict with another one; it can be retried safely."""


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write: it is committed at the end, and rolled back after an exception.

    Raises DatabaseError if the database is locked for too long, full, read-only, damaged or cannot be reached. If the
    connection broke during the commit, the transaction may have been committed nevertheless.
    """
    with engine.connect() as connection:
        connection.execution_options(**{WRITES: True})
        with connection.begin():
            yield connection


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads one snapshot, without a write lock. Raises DatabaseError like `write_transaction`."""
    with engine.connect() as connection, connection.begin():
        yield connection


def write(engine: Engine, body: Callable[[Connection], _Result], *, one_statement: bool = False) -> _Result:
    """Call `body` in a writing transaction and return its result; after a conflict, call it again in a new one.

    one_statement: at most one statement of the body changes anything, if the database allows changes in queries. Each
    statement is then a transaction by itself, which saves two round trips to a server.

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
