"""The job database in a SQLite file: its connections, how its transactions begin, what its errors mean.

Write-ahead log, synchronous=FULL, and every writing transaction begins with BEGIN IMMEDIATE. A transaction that reads
first and wants to write later cannot wait for its turn in SQLite (it is refused at once, whatever the timeout), one
that asks for the write lock at the start can. Reading never takes the write lock.
"""

import os
import random
import sqlite3
import time
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, UpdateBase, create_engine, event
from sqlalchemy.dialects import sqlite as dialect
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import NullPool, QueuePool

from rnnlab.errors import DatabaseAwayError, DatabaseError
from rnnlab.queue.transactions import WRITES

FileId = tuple[int, int]  # device and inode: of all files that are open or named somewhere, one has them

_FILE = "rnnlab_file"  # execution option of an engine that writes: the file that it was made for
_LOOK_AGAIN_SECONDS = 1.0  # patience of a second look at a file that seems to be damaged
_TRY_SECONDS = 0.004  # between two tries for the write lock, which a transaction holds for about 0.5 ms


def may(path: Path, mode: int) -> bool:
    """os.access for the user whose rights count."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def file_id(path: Path) -> FileId | None:
    """Which file is at the path; None where that cannot be told."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


# Connections


def connect(path: Path, flags: str, *, read_only: bool, busy_seconds: float, keys: bool = True) -> sqlite3.Connection:
    """A connection without SQLAlchemy. `keys`: whether foreign keys are watched. Raises sqlite3.Error."""
    # isolation_level=None: the driver begins no transaction by itself.
    connection = sqlite3.connect(
        f"{path.as_uri()}?{flags}", uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute(f"PRAGMA foreign_keys = {'ON' if keys else 'OFF'}")
        connection.execute("PRAGMA synchronous = FULL")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_look(path: Path, busy_seconds: float) -> sqlite3.Connection:
    return connect(path, _read_only_flags(path), read_only=True, busy_seconds=busy_seconds)


def _read_only_flags(path: Path) -> str:
    """How to open the file for looking so that neither the look nor the closing changes it or leaves files beside it.

    The last connection to close moves a log left over by a killed writer into the file; one opened with mode=ro does
    not, but it leaves an empty log where there was none. Where the folder is read-only and there is no log, SQLite must
    be told that nobody can write.
    """
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > 0:
        return "mode=ro"
    if may(path, os.W_OK) and may(path.parent, os.W_OK):
        return "mode=rw"
    return "mode=ro&immutable=1"


def writing_engine(
    path: Path, *, busy_seconds: float, file: FileId | None = None, flags: str = "mode=rw", keys: bool = True
) -> Engine:
    """An engine for writing to the file, whatever it holds; `open_engine` checks it first. `keys`: as for `connect`.

    file: the file that is meant. What is written to one that nobody finds at the path any more would be lost: every
    transaction looks whether it is there. None: whichever is there.
    """

    def checked_connection() -> sqlite3.Connection:
        _check_file(path, file)
        return connect(path, flags, read_only=False, busy_seconds=busy_seconds, keys=keys)

    return _with_events(
        create_engine(
            URL.create("sqlite", database=str(path)),
            creator=checked_connection,
            poolclass=QueuePool,  # each thread checks out a connection of its own
            pool_size=2,
            execution_options={_FILE: file},
        ),
        path,
        busy_seconds,
    )


def sibling_engine(engine: Engine, *, busy_seconds: float) -> Engine:
    """A second engine for writing to the same, already checked file."""
    file: FileId | None = engine.get_execution_options()[_FILE]
    return writing_engine(_path_of(engine), busy_seconds=busy_seconds, file=file)


def reading_engine(path: Path, *, busy_seconds: float) -> Engine:
    """An engine for looking at the file, whatever it holds."""
    return _with_events(
        create_engine(
            URL.create("sqlite", database=str(path)),
            # Whether somebody writes, and there is a log, is another matter at each look: no connection is kept.
            creator=lambda: _connect_to_look(path, busy_seconds),
            poolclass=NullPool,
        ),
        path,
        busy_seconds,
    )


def _with_events(engine: Engine, path: Path, busy_seconds: float) -> Engine:
    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get(WRITES, False):
            _begin_writing(connection, busy_seconds)
            _check_file(path, options.get(_FILE))
        else:
            connection.exec_driver_sql("BEGIN")

    @event.listens_for(engine, "handle_error", retval=True)
    def explain(context: ExceptionContext) -> BaseException | None:
        return _explain(context.original_exception, path)

    return engine


def _path_of(engine: Engine) -> Path:
    assert engine.url.database is not None
    return Path(engine.url.database)


def _check_file(path: Path, file: FileId | None) -> None:
    """Raises DatabaseError when another file than `file`, or none, is at the path."""
    if file is not None and file_id(path) != file:
        raise DatabaseError(
            f"job database {path} was deleted, moved or replaced while it was in use: put it back, or go on with what "
            "is there now, and run the same command again"
        )


def _begin_writing(connection: Connection, busy_seconds: float) -> None:
    """BEGIN IMMEDIATE, patiently.

    SQLite itself would sleep longer and longer, up to 0.1 s, between tries: of eight busy processes some got no turn
    for more than two seconds. Even sleeps bring that down to about 0.2 s, at most of the throughput.
    """
    driver = _driver(connection)
    deadline = time.monotonic() + busy_seconds
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        while time.monotonic() < deadline:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.DatabaseError as error:
                if code(error) != sqlite3.SQLITE_BUSY:
                    break
            time.sleep(_TRY_SECONDS * random.uniform(0.5, 1.5))
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the last try; its error is the one that is told
    finally:
        driver.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")


# Statements


def execute_directly(connection: Connection, statement: UpdateBase, values: dict[str, Any]) -> sqlite3.Cursor:
    """`connection.execute`, of a statement that is made once and executed often, without its overhead.

    SQLAlchemy takes several times as long over a statement as SQLite, and claims and finishes hold the write lock
    meanwhile. The statement's columns are numbers and text, which the driver takes and gives as they are.

    Raises DatabaseError like `connection.execute`.
    """
    text, names, constants = _compiled(statement)
    values = {**constants, **values}
    try:
        return _driver(connection).execute(text, [values[name] for name in names])
    except sqlite3.Error as error:
        explained = _explain(error, _path_of(connection.engine))
        if explained is None:
            raise
        raise explained from error


@cache
def _compiled(statement: UpdateBase) -> tuple[str, list[str], dict[str, Any]]:
    """Its text, the names of its parameters in their order, and those of them that are constants."""
    compiled = statement.compile(dialect=dialect.dialect())
    return str(compiled), compiled.positiontup or [], compiled.params


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


# Errors


def code(error: BaseException | None) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _explain(error: BaseException, path: Path) -> DatabaseError | None:
    """What to tell the user; None for a mistake of ours, which is no business of his."""
    mistakes = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, mistakes):
        return None
    if code(error) == sqlite3.SQLITE_CORRUPT and _is_whole(path):
        # A look with immutable=1 sees no locks: somebody has begun to write meanwhile.
        return DatabaseAwayError(f"job database {path} was changed while it was read: run the same command again")
    return told(error, path)


def _is_whole(path: Path) -> bool:
    """Whether another look finds nothing wrong."""
    try:
        with closing(_connect_to_look(path, _LOOK_AGAIN_SECONDS)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def told(error: BaseException | None, path: Path) -> DatabaseError:
    """What an error of SQLite means for the user, and what to do about it."""
    advice = {
        sqlite3.SQLITE_BUSY: "is locked by another program: close that, then run the same command again",
        sqlite3.SQLITE_FULL: "cannot grow, the disk is full: free some space, then run the same command again",
        sqlite3.SQLITE_READONLY: "is read-only: make it writable or name another with --db",
        sqlite3.SQLITE_NOTADB: "is not a SQLite database: name another with --db",
        sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a copy or name another with --db",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the permissions of the file and its folder",
    }
    other = f"cannot be used ({error}): check the disk and the file, or name another with --db"
    kind = DatabaseAwayError if code(error) == sqlite3.SQLITE_BUSY else DatabaseError
    return kind(f"job database {path} {advice.get(code(error), other)}")
