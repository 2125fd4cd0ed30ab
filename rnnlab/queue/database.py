"""Opening the job database, and its transactions. The only module that knows which database it is.

SQLite: write-ahead log, synchronous=FULL, and every writing transaction begins with BEGIN IMMEDIATE. A transaction that
reads first and wants to write later cannot wait for its turn in SQLite (it is refused at once, whatever the timeout),
one that asks for the write lock at the start can. Reading never takes the write lock.

A file is looked at before anything is done to it, so that a file which is not ours stays as it is, byte for byte. The
look goes through SQLite too: closing a file that this process has open elsewhere would drop SQLite's locks on it.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, exc, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import QueuePool

from rnnlab.errors import DatabaseError
from rnnlab.queue.tables import APPLICATION, SCHEMA_VERSION, meta, metadata

BUSY_SECONDS = 30.0  # how long a transaction waits for another one before it gives up
_WRITE_OPTION = "rnnlab_write"
_Result = TypeVar("_Result")


def open_database(
    url_or_path: str | Path, *, create: bool, read_only: bool = False, busy_seconds: float = BUSY_SECONDS
) -> Engine:
    """An engine on the job database at a path or at `sqlite:///PATH`. Dispose of it when done.

    create: make the file, its folder and its schema where missing; safe in several processes at once.
    read_only: for commands that only look. Works while workers write, and leaves the file's bytes alone.
    busy_seconds: how long a transaction waits for the write lock.

    Raises DatabaseError, in one line and with the file untouched, when there is no database (create=False), when the
    file is not one of rnnlab's or comes from a newer rnnlab, and when it cannot be read or written.
    """
    assert not (create and read_only), "looking does not create"
    path = _sqlite_path(url_or_path)
    _check_access(path, create=create, read_only=read_only)
    found = _patiently(lambda: _look(path, must_exist=not create), path, busy_seconds)
    if found is None and not create:
        raise _missing(path)
    if not read_only:
        _patiently(lambda: _prepare(path, create=found is None, busy_seconds=busy_seconds), path, busy_seconds)
    return _engine(path, _read_only_flags(path) if read_only else "mode=rw", read_only, busy_seconds)


def sibling_engine(engine: Engine, *, busy_seconds: float) -> Engine:
    """A second engine for writing to the same, already checked database, with connections and patience of its own."""
    return _engine(Path(str(engine.url.database)), "mode=rw", False, busy_seconds)


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write; committed at the end, rolled back by an exception.

    Raises DatabaseError when the database is locked for too long, full, read-only or damaged.
    """
    with _one_line_errors(engine), engine.connect() as connection:
        connection.execution_options(**{_WRITE_OPTION: True})
        with connection.begin():
            yield connection


@contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction that reads one snapshot and takes no write lock. Raises DatabaseError like `write_transaction`."""
    with _one_line_errors(engine), engine.connect() as connection, connection.begin():
        yield connection


def conflict_insert(dialect: str, table: Table) -> sqlite.Insert:
    """An INSERT into `table` that knows on_conflict_do_nothing() and on_conflict_do_update()."""
    assert dialect == "sqlite"  # postgresql.Insert has the same two methods
    return sqlite.insert(table)


def _missing(path: Path) -> DatabaseError:
    return DatabaseError(f"no job database at {path}: run `rnnlab init NAME` first, or name another with --db")


def _sqlite_path(url_or_path: str | Path) -> Path:
    text = str(url_or_path)
    if isinstance(url_or_path, Path) or "://" not in text:
        return Path(text).expanduser().absolute()
    try:
        url = make_url(text)
    except (exc.ArgumentError, ValueError) as error:
        raise DatabaseError(f"{text!r} is no database URL: give a path or sqlite:///PATH") from error
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() != "sqlite":
        raise DatabaseError(f"{shown}: only SQLite is supported so far: give a path or sqlite:///PATH")
    if url.database in (None, "", ":memory:") or url.query or url.host:
        raise DatabaseError(f"{shown}: a job database is a file of its own: give a path or sqlite:///PATH")
    return Path(str(url.database)).expanduser().absolute()


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
                raise _missing(path)
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


def _connect(path: Path, flags: str, read_only: bool, busy_seconds: float) -> sqlite3.Connection:
    # isolation_level=None: the driver begins no transaction by itself.
    connection = sqlite3.connect(
        f"{path.as_uri()}?{flags}", uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _connected(path: Path, flags: str, *, read_only: bool, busy_seconds: float) -> Iterator[sqlite3.Connection]:
    connection = _connect(path, flags, read_only, busy_seconds)
    try:
        yield connection
    finally:
        connection.close()


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


def _look(path: Path, *, must_exist: bool) -> int | None:
    """The schema version of the database, None without tables. Raises DatabaseError for a foreign file."""
    if not path.exists() and not must_exist:
        return None
    with _connected(path, _read_only_flags(path), read_only=True, busy_seconds=1.0) as connection:
        return _version(connection, path)


def _version(connection: sqlite3.Connection, path: Path) -> int | None:
    if not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        return None
    foreign = DatabaseError(f"{path} is a SQLite database, but not one of rnnlab's: name another with --db")
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").fetchone():
        raise foreign
    columns = {row[1] for row in connection.execute("PRAGMA table_info(meta)")}
    if not columns >= {"key", "value"}:
        raise foreign
    values = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    version = str(values.get("schema_version", ""))
    if values.get("application") != APPLICATION or not version.isdecimal():
        raise foreign
    if int(version) > SCHEMA_VERSION:
        raise DatabaseError(
            f"{path} was written by a newer rnnlab (schema {version}, this one knows {SCHEMA_VERSION}): upgrade rnnlab"
        )
    return int(version)


def _prepare(path: Path, *, create: bool, busy_seconds: float) -> None:
    """Make the schema where it is missing; then turn the write-ahead log on, once and for all."""
    if create:
        engine = _engine(path, "mode=rwc", False, busy_seconds)
        try:
            with write_transaction(engine) as connection:
                driver = connection.connection.dbapi_connection
                assert isinstance(driver, sqlite3.Connection)
                if _version(driver, path) is None:  # looked at again, now that nobody else can write
                    metadata.create_all(connection)
                    rows = {"application": APPLICATION, "schema_version": str(SCHEMA_VERSION)}
                    connection.execute(meta.insert(), [{"key": key, "value": rows[key]} for key in rows])
        finally:
            engine.dispose()
    with _connected(path, "mode=rw", read_only=False, busy_seconds=busy_seconds) as raw:
        if raw.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            raw.execute("PRAGMA journal_mode = WAL")


def _patiently(attempt: Callable[[], _Result], path: Path, busy_seconds: float) -> _Result:
    """Repeat while the database is busy: not every statement around the creation waits for the busy timeout."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            return attempt()
        except (sqlite3.Error, DatabaseError) as error:
            cause = error if isinstance(error, sqlite3.Error) else _sqlite_cause(error)
            if cause is None:
                raise
            if _code(cause) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise _explain(cause, path) from error
        time.sleep(0.02)


def _engine(path: Path, flags: str, read_only: bool, busy_seconds: float) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        creator=lambda: _connect(path, flags, read_only, busy_seconds),
        poolclass=QueuePool,  # each thread checks out a connection of its own
        pool_size=2,
    )

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITE_OPTION, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def _one_line_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (exc.OperationalError, exc.DatabaseError) as error:
        if isinstance(error, exc.IntegrityError | exc.ProgrammingError | exc.InterfaceError | exc.DataError):
            raise  # a mistake of ours, not of the machine
        raise _explain(error.orig, Path(str(engine.url.database))) from error


def _sqlite_cause(error: DatabaseError) -> sqlite3.Error | None:
    cause = getattr(error.__cause__, "orig", None)
    return cause if isinstance(cause, sqlite3.Error) else None


def _code(error: Any) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _explain(error: BaseException | None, path: Path) -> DatabaseError:
    advice = {
        sqlite3.SQLITE_BUSY: "is locked by another program: close that, then run the same command again",
        sqlite3.SQLITE_FULL: "cannot grow, the disk is full: free some space, then run the same command again",
        sqlite3.SQLITE_READONLY: "is read-only: make it writable or name another with --db",
        sqlite3.SQLITE_NOTADB: "is not a SQLite database: name another with --db",
        sqlite3.SQLITE_CORRUPT: "is damaged: restore it from a copy or name another with --db",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened: check the permissions of the file and its folder",
    }
    other = f"cannot be used ({error}): check the disk and the file, or name another with --db"
    return DatabaseError(f"job database {path} {advice.get(_code(error), other)}")
