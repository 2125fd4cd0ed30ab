"""The job database in a SQLite file: how it is opened, how its transactions begin, what its errors mean.

Write-ahead log, synchronous=FULL, and every writing transaction begins with BEGIN IMMEDIATE. A transaction that reads
first and wants to write later cannot wait for its turn in SQLite (it is refused at once, whatever the timeout), one
that asks for the write lock at the start can. Reading never takes the write lock.

A file is looked at before anything is done to it, so that a file which is not ours stays as it is, byte for byte. The
look goes through SQLite too: closing a file that this process has open elsewhere would drop SQLite's locks on it.
"""

import os
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, UpdateBase, create_engine, event
from sqlalchemy.dialects import sqlite as dialect
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import QueuePool

from rnnlab.errors import DatabaseAwayError, DatabaseError
from rnnlab.queue import schema
from rnnlab.queue.transactions import WRITES, read_transaction, write_transaction

_TRY_SECONDS = 0.004  # between two tries for the write lock, which a transaction holds for about 0.5 ms
_LOOK_SECONDS = 1.0  # patience of one look at a file; looks are repeated
_Result = TypeVar("_Result")


def open_engine(path: Path, *, create: bool, read_only: bool, busy_seconds: float) -> Engine:
    """An engine on the file; see `open_database`. Raises DatabaseError, in one line and with the file untouched."""
    _check_access(path, create=create, read_only=read_only)
    found = _patiently(lambda: _look(path, must_exist=not create), busy_seconds)
    if found is None and not create:
        raise schema.missing(str(path))
    if read_only:
        schema.refuse_older(found, str(path))
        return _engine(path, _read_only_flags(path), read_only=True, busy_seconds=busy_seconds)
    is_current = schema.is_current(found)
    _patiently(lambda: _prepare(path, is_current=is_current, busy_seconds=busy_seconds), busy_seconds)
    return engine_again(path, busy_seconds=busy_seconds)


def engine_again(path: Path, *, busy_seconds: float) -> Engine:
    """An engine for writing to a file that `open_engine` has checked already."""
    return _engine(path, "mode=rw", read_only=False, busy_seconds=busy_seconds)


def _may(path: Path, mode: int) -> bool:
    """os.access for the user whose rights count."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _check_access(path: Path, *, create: bool, read_only: bool) -> None:
    """Everything that can be said without opening the file."""
    try:
        if path.exists() and not path.is_file():
            raise DatabaseError(f"job database {path} is not a file: name another with --db")
        if not path.exists():
            if not create:
                raise schema.missing(str(path))
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not _may(path, os.R_OK):
            raise DatabaseError(f"job database {path} cannot be read: change its permissions or name another with --db")
        elif not read_only and not _may(path, os.W_OK):
            raise DatabaseError(f"job database {path} is read-only: make it writable or name another with --db")
    except OSError as error:
        raise DatabaseError(
            f"job database {path} cannot be reached ({error.strerror or error}): name another with --db"
        ) from error
    if not read_only and not _may(path.parent, os.W_OK | os.X_OK):
        raise DatabaseError(f"folder {path.parent} of the job database is not writable: make it so, or use --db")


# Connections


def _connect(path: Path, flags: str, *, read_only: bool, busy_seconds: float, keys: bool = True) -> sqlite3.Connection:
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


def _read_only_flags(path: Path) -> str:
    """How to open the file for looking so that neither the look nor the closing changes it or leaves files beside it.

    The last connection to close moves a log left over by a killed writer into the file; one opened with mode=ro does
    not, but it leaves an empty log where there was none. Where the folder is read-only and there is no log, SQLite must
    be told that nobody can write.
    """
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size > 0:
        return "mode=ro"
    if _may(path, os.W_OK) and _may(path.parent, os.W_OK):
        return "mode=rw"
    return "mode=ro&immutable=1"


def _engine(path: Path, flags: str, *, read_only: bool, busy_seconds: float, keys: bool = True) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        creator=lambda: _connect(path, flags, read_only=read_only, busy_seconds=busy_seconds, keys=keys),
        poolclass=QueuePool,  # each thread checks out a connection of its own
        pool_size=2,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get(WRITES, False):
            _begin_writing(connection, busy_seconds)
        else:
            connection.exec_driver_sql("BEGIN")

    @event.listens_for(engine, "handle_error", retval=True)
    def explain(context: ExceptionContext) -> BaseException | None:
        return _explain(context.original_exception, path)

    return engine


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
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY:
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
        assert connection.engine.url.database is not None
        told = _explain(error, Path(connection.engine.url.database))
        if told is None:
            raise
        raise told from error


@cache
def _compiled(statement: UpdateBase) -> tuple[str, list[str], dict[str, Any]]:
    """Its text, the names of its parameters in their order, and those of them that are constants."""
    compiled = statement.compile(dialect=dialect.dialect())
    return str(compiled), compiled.positiontup or [], compiled.params


def _driver(connection: Connection) -> sqlite3.Connection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


# The schema


@contextmanager
def _transaction(path: Path, flags: str, *, read_only: bool, busy_seconds: float) -> Iterator[Connection]:
    """One transaction on an engine of its own. Foreign keys are not watched: a migration replaces whole tables."""
    engine = _engine(path, flags, read_only=read_only, busy_seconds=busy_seconds, keys=False)
    try:
        with read_transaction(engine) if read_only else write_transaction(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def _look(path: Path, *, must_exist: bool) -> int | None:
    """The schema version of the database, None without tables. Raises DatabaseError for a foreign file."""
    if not path.exists() and not must_exist:
        return None
    with _transaction(path, _read_only_flags(path), read_only=True, busy_seconds=_LOOK_SECONDS) as connection:
        return schema.version_of(connection, str(path))


def _prepare(path: Path, *, is_current: bool, busy_seconds: float) -> None:
    """Make the schema where it is missing or older; then turn the write-ahead log on, once and for all."""
    if not is_current:
        with _transaction(path, "mode=rwc", read_only=False, busy_seconds=busy_seconds) as connection:
            # Nobody else can write now, but a copy can be read: it is of the state before.
            schema.bring_up_to_date(connection, str(path), lambda version: _back_up(path, version))
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            assert broken is None, f"row without its parent: {broken}"
    try:
        with closing(_connect(path, "mode=rw", read_only=False, busy_seconds=busy_seconds)) as raw:
            if raw.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                raw.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise _told(error, path) from error


def _back_up(path: Path, version: int) -> None:
    """A whole copy beside the file, of the last committed state; never written over an earlier copy."""
    names = (f"{path.name}.schema-{version}{suffix}" for suffix in chain([""], (f".{n}" for n in count(2))))
    copy = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    unfinished = copy.with_name(f"{copy.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        with (
            closing(_connect(path, "mode=ro", read_only=True, busy_seconds=_LOOK_SECONDS)) as source,
            closing(sqlite3.connect(unfinished)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # one file, whole by itself
        shutil.copymode(path, unfinished)
        unfinished.replace(copy)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise DatabaseError(
            f"job database {path} is of an older rnnlab, and no copy of it could be written to {copy} ({error}): free "
            "some space or make the folder writable, then run the same command again to bring it up to date"
        ) from error


# Errors


def _patiently(attempt: Callable[[], _Result], busy_seconds: float) -> _Result:
    """Repeat while the database is busy: not every statement around the creation waits for the busy timeout."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            return attempt()
        except DatabaseError as error:
            if _code(error.__cause__) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _code(error: BaseException | None) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _explain(error: BaseException, path: Path) -> DatabaseError | None:
    """What to tell the user; None for a mistake of ours, which is no business of his."""
    mistakes = sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.DataError
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, mistakes):
        return None
    return _told(error, path)


def _told(error: BaseException | None, path: Path) -> DatabaseError:
    advice = {
        sqlite3.SQLITE_BUSY: "is locked by another program: close that, then run the same command again",
        sqlite3.SQLITE_FULL: "cannot grow, the disk is full: free some space, then run the same command again",
        sqlite3.SQLITE_READONLY: "is read-only: make it writable or name another with --db",
        sqlite3.SQLITE_NOTADB: "is not a SQLite database: name another with --db",
        sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a copy or name another with --db",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the permissions of the file and its folder",
    }
    other = f"cannot be used ({error}): check the disk and the file, or name another with --db"
    kind = DatabaseAwayError if _code(error) == sqlite3.SQLITE_BUSY else DatabaseError
    return kind(f"job database {path} {advice.get(_code(error), other)}")
