"""The job database in a SQLite file: its connections, how its transactions begin, what its errors mean.

The file has a write-ahead log and synchronous=FULL, and every writing transaction begins with BEGIN IMMEDIATE. In
SQLite a transaction that reads first and writes later cannot wait for the write lock (it fails at once, whatever the
timeout is); one that takes the write lock at the start can. Reading never takes the write lock.
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

FileId = tuple[int, int]  # device and inode: unique among the files that are open or have a name

_FILE = "rnnlab_file"  # execution option of a writing engine: the file for which it was made
_CHECK_SECONDS = 1.0  # timeout of the second check of a file that seems damaged
_TRY_SECONDS = 0.004  # between two attempts to get the write lock, which a transaction holds for about 0.5 ms


def may(path: Path, mode: int) -> bool:
    """os.access for the effective user, whose rights apply."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def file_id(path: Path) -> FileId | None:
    """The identity of the file at the path; None if it cannot be determined."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


# Connections


def connect(path: Path, flags: str, *, read_only: bool, busy_seconds: float, keys: bool = True) -> sqlite3.Connection:
    """A connection without SQLAlchemy. `keys`: whether foreign keys are enforced. Raises sqlite3.Error."""
    # isolation_level=None: the driver does not begin transactions.
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


def _connect_read_only(path: Path, busy_seconds: float) -> sqlite3.Connection:
    return connect(path, _read_only_flags(path), read_only=True, busy_seconds=busy_seconds)


def _read_only_flags(path: Path) -> str:
    """The flags for reading, chosen so that neither reading nor closing changes the file or leaves files next to it.

    The last connection to close moves the log of a killed writer into the file. A connection with mode=ro does not,
    but it leaves an empty log if there was none. If the folder is read-only and there is no log, SQLite requires the
    flag immutable.
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
    """An engine for writing to the file, whose content `open_engine` has checked. `keys`: see `connect`.

    file: the identity of the expected file. Every transaction checks that it is still at the path, because data that
    is written to a moved or deleted file would be lost. None: no check.
    """

    def checked_connection() -> sqlite3.Connection:
        _check_file(path, file)
        return connect(path, flags, read_only=False, busy_seconds=busy_seconds, keys=keys)

    return _with_events(
        create_engine(
            URL.create("sqlite", database=str(path)),
            creator=checked_connection,
            poolclass=QueuePool,  # each thread checks out its own connection
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
    """An engine for reading the file, without a check of its content."""
    return _with_events(
        create_engine(
            URL.create("sqlite", database=str(path)),
            # No connection is kept: whether a process writes, and whether there is a log, can change between reads.
            creator=lambda: _connect_read_only(path, busy_seconds),
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
    """Raise DatabaseError if the file at the path is missing or is not `file`."""
    if file is not None and file_id(path) != file:
        raise DatabaseError(
            f"job database {path} was deleted, moved or replaced while it was in use: restore it, or keep the file "
            "that is there now, and run the same command again"
        )


def _begin_writing(connection: Connection, busy_seconds: float) -> None:
    """BEGIN IMMEDIATE, repeated until it succeeds or `busy_seconds` have passed.

    SQLite's own busy handler sleeps longer after each attempt, up to 0.1 s: some of eight busy processes got no write
    lock for more than two seconds. Sleeps of equal length reduce that to about 0.2 s and keep most of the throughput.
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
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the last attempt, which raises the error
    finally:
        driver.execute(f"PRAGMA busy_timeout = {round(busy_seconds * 1000)}")


# Statements


def execute_directly(connection: Connection, statement: UpdateBase, values: dict[str, Any]) -> sqlite3.Cursor:
    """Like `connection.execute`, without its overhead, for a statement that is built once and executed often.

    SQLAlchemy needs several times as long for a statement as SQLite, and claims and finishes hold the write lock during
    that time. The columns of the statement are numbers and text, which the driver does not convert.

    Raises DatabaseError like `connection.execute`.
    """
    text, names, constants = _compiled(statement)
    values = {**constants, **values}
    try:
        return _driver(connection).execute(text, [values[name] for name in names])
    except sqlite3.Error as error:
        translated = _explain(error, _path_of(connection.engine))
        if translated is None:
            raise
        raise translated from error


@cache
def _compiled(statement: UpdateBase) -> tuple[str, list[str], dict[str, Any]]:
    """The text of the statement, the names of its parameters in order, and the values of constant parameters."""
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
    """The error to raise instead, with advice for the user; None for a bug in this program."""
    bugs = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, bugs):
        return None
    if code(error) == sqlite3.SQLITE_CORRUPT and _is_whole(path):
        # A connection with immutable=1 ignores locks, and a process has started to write.
        return DatabaseAwayError(f"job database {path} changed while it was being read: run the same command again")
    return explained(error, path)


def _is_whole(path: Path) -> bool:
    """Whether a second check finds no damage."""
    try:
        with closing(_connect_read_only(path, _CHECK_SECONDS)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def explained(error: BaseException | None, path: Path) -> DatabaseError:
    """What an error of SQLite means for the user, and what to do."""
    advice = {
        sqlite3.SQLITE_BUSY: "is locked by another program: close that program, then run the same command again",
        sqlite3.SQLITE_FULL: "cannot grow, the disk is full: free some space, then run the same command again",
        sqlite3.SQLITE_READONLY: "is read-only: make it writable or name another with --db",
        sqlite3.SQLITE_NOTADB: "is not a SQLite database: name another with --db",
        sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a copy or name another with --db",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the permissions of the file and its folder",
    }
    other = f"cannot be used ({error}): check the disk and the file, or name another with --db"
    kind = DatabaseAwayError if code(error) == sqlite3.SQLITE_BUSY else DatabaseError
    return kind(f"job database {path} {advice.get(code(error), other)}")
