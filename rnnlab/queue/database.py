"""Opening the job database, wherever it lies.

What SQLite and PostgreSQL do differently is in `sqlite.py`, `sqlite_file.py` and `postgres.py`: how a database is
opened and checked, how its transactions begin, what its errors mean. Nobody else knows which of the two it is.
"""

from pathlib import Path

from sqlalchemy import URL, Engine, exc, make_url

from rnnlab.errors import DatabaseError
from rnnlab.queue import postgres, sqlite, sqlite_file

BUSY_SECONDS = 30.0  # how long a transaction waits for another one before it gives up
_ADDRESSES = "give a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def open_database(
    url_or_path: str | Path, *, create: bool, read_only: bool = False, busy_seconds: float = BUSY_SECONDS
) -> Engine:
    """An engine on the job database at a path, `sqlite:///PATH` or `postgresql://USER@HOST/DATABASE`. Dispose of it.

    create: make the file, its folder and the schema where missing; a PostgreSQL database must be there, and be empty or
    ours. Safe in several processes at once.
    read_only: for commands that only look. Works while workers write, and leaves the file's bytes alone.
    busy_seconds: how long a transaction waits for another one.

    A database of an older rnnlab is brought up to date; of a SQLite file, a copy is put beside it first.

    Raises DatabaseError, in one line and with the database untouched, when there is none (create=False), when it is not
    one of rnnlab's or comes from a newer rnnlab, when it comes from an older one and read_only or its live workers
    forbid a change, and when it cannot be reached, read or written.
    """
    assert not (create and read_only), "looking does not create"
    address = _address(url_or_path)
    if isinstance(address, Path):
        return sqlite_file.open_engine(address, create=create, read_only=read_only, busy_seconds=busy_seconds)
    return postgres.open_engine(address, create=create, read_only=read_only, busy_seconds=busy_seconds)


def sibling_engine(engine: Engine, *, busy_seconds: float) -> Engine:
    """A second engine for writing to the same, already checked database, with connections and patience of its own."""
    if engine.dialect.name == "sqlite":
        return sqlite.sibling_engine(engine, busy_seconds=busy_seconds)
    return postgres.sibling_engine(engine, busy_seconds=busy_seconds)


def _address(url_or_path: str | Path) -> Path | URL:
    """The path of a SQLite file, or the URL of a PostgreSQL database. The errors show no password."""
    text = str(url_or_path)
    if isinstance(url_or_path, Path) or "://" not in text:
        return _file(text)
    scheme = text.split("://")[0]
    try:
        url = make_url(text)
    except (exc.ArgumentError, ValueError) as error:
        raise DatabaseError(f"{scheme}://... is no database URL: {_ADDRESSES}") from error
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if url.database in (None, "", ":memory:") or url.query or url.host:
            raise DatabaseError(f"{scheme}://...: a job database is a file of its own: give a path or sqlite:///PATH")
        return _file(str(url.database))
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise DatabaseError(f"{scheme}://...: only SQLite and PostgreSQL (with psycopg) are supported: {_ADDRESSES}")
    if not url.database:
        raise DatabaseError(f"{postgres.shown(url)}: names no database: give postgresql://USER@HOST/DATABASE")
    return url.set(drivername="postgresql+psycopg")


def _file(given: str) -> Path:
    """The file that a path leads to: SQLite keeps its log beside that one, not beside a link to it."""
    try:
        return Path(given).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a home that nobody has, links that lead to themselves
        raise DatabaseError(f"job database {given!r} cannot be reached ({error}): name another with --db") from error
