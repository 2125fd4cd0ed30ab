"""The file of a SQLite job database: it is checked, created or migrated if necessary, and then opened.

A file is checked before anything is written, so that a file of another program stays unchanged, byte for byte. The
check also uses SQLite: closing a file that this process has open elsewhere would drop SQLite's locks on it.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import chain, count
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine

from rnnlab.errors import DatabaseAwayError, DatabaseError
from rnnlab.queue import schema
from rnnlab.queue.sqlite import connect, explained, file_id, may, reading_engine, writing_engine
from rnnlab.queue.transactions import read_transaction, write_transaction

_CHECK_SECONDS = 1.0  # timeout of one check of the file; checks are repeated
_Result = TypeVar("_Result")


def open_engine(path: Path, *, create: bool, read_only: bool, busy_seconds: float) -> Engine:
    """An engine for the file; see `open_database`. A DatabaseError has one line, and the file is unchanged."""
    _check_access(path, create=create, read_only=read_only)
    found = _retry_while_busy(lambda: _version(path, must_exist=not create), busy_seconds)
    if found is None and not create:
        raise schema.missing(str(path))
    if read_only:
        schema.refuse_older(found, str(path))
        return reading_engine(path, busy_seconds=busy_seconds)
    is_current = schema.is_current(found)
    _retry_while_busy(lambda: _prepare(path, is_current=is_current, busy_seconds=busy_seconds), busy_seconds)
    return writing_engine(path, busy_seconds=busy_seconds, file=file_id(path))


def _check_access(path: Path, *, create: bool, read_only: bool) -> None:
    """Make all checks that are possible without opening the file."""
    try:
        if path.exists() and not path.is_file():
            raise DatabaseError(f"job database {path} is not a file: name another with --db")
        if not path.exists():
            if not create:
                raise schema.missing(str(path))
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not may(path, os.R_OK):
            raise DatabaseError(f"job database {path} cannot be read: change its permissions or name another with --db")
        elif not read_only and not may(path, os.W_OK):
            raise DatabaseError(f"job database {path} is read-only: make it writable or name another with --db")
    except OSError as error:
        raise DatabaseError(
            f"job database {path} cannot be reached ({error.strerror or error}): name another with --db"
        ) from error
    if not read_only and not may(path.parent, os.W_OK | os.X_OK):
        raise DatabaseError(f"folder {path.parent} of the job database is not writable: make it writable, or use --db")


# The schema


def _version(path: Path, *, must_exist: bool) -> int | None:
    """The schema version of the database, None without tables. Raises DatabaseError for a file of another program."""
    if not path.exists() and not must_exist:
        return None
    with read_transaction(reading_engine(path, busy_seconds=_CHECK_SECONDS)) as connection:
        return schema.version_of(connection, str(path))


def _prepare(path: Path, *, is_current: bool, busy_seconds: float) -> None:
    """Create or migrate the schema if necessary; then turn on the write-ahead log, which is permanent."""
    if not is_current:
        # Foreign keys are not enforced: a migration replaces whole tables.
        engine = writing_engine(path, busy_seconds=busy_seconds, flags="mode=rwc", keys=False)
        try:
            with write_transaction(engine) as connection:
                # No other process can write now, but the file can be read: the copy has the state before the migration.
                schema.bring_up_to_date(connection, str(path), lambda version: _back_up(path, version))
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                assert broken is None, f"row without its parent: {broken}"
        finally:
            engine.dispose()
    try:
        with closing(connect(path, "mode=rw", read_only=False, busy_seconds=busy_seconds)) as raw:
            if raw.execute("PRAGMA journal_mode").fetchone() != ("wal",):
                raw.execute("PRAGMA journal_mode = WAL")
    except sqlite3.Error as error:
        raise explained(error, path) from error


def _back_up(path: Path, version: int) -> None:
    """Copy the last committed state to a complete file in the same folder. Earlier copies are not overwritten."""
    names = (f"{path.name}.schema-{version}{suffix}" for suffix in chain([""], (f".{n}" for n in count(2))))
    copy = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    unfinished = copy.with_name(f"{copy.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        with (
            closing(connect(path, "mode=ro", read_only=True, busy_seconds=_CHECK_SECONDS)) as source,
            closing(sqlite3.connect(unfinished)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")  # a single, complete file
        shutil.copymode(path, unfinished)
        unfinished.replace(copy)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise DatabaseError(
            f"job database {path} is from an older rnnlab, and it could not be copied to {copy} ({error}): free some "
            "space or make the folder writable, then run the same command again to migrate it"
        ) from error


def _retry_while_busy(attempt: Callable[[], _Result], busy_seconds: float) -> _Result:
    """Repeat while the database is busy: some statements during creation do not wait for the busy timeout."""
    deadline = time.monotonic() + busy_seconds
    while True:
        try:
            return attempt()
        except DatabaseAwayError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.02)
