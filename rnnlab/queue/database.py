"""Opening the job database in a SQLite file or on a PostgreSQL server.

What SQLite and PostgreSQL do differently is in `sqlite.py`, `sqlite_file.py` and `postgres.py`: how a database is
opened and checked, how its transactions begin, what its errors mean. All other modules work with both.
"""

from pathlib import Path

from sqlalchemy import URL, Engine, exc, make_url

from rnnlab.errors import DatabaseError
from rnnlab.queue import postgres, sqlite, sqlite_file

BUSY_SECONDS = 30.0  # how long a transaction waits for a lock before it fails
_ADDRESSES = "give a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def open_database(
    url_or_path: str | Path, *, create: bool, read_only: bool = False, busy_seconds: float = BUSY_SECONDS
) -> Engine:
    """Return an engine for the job database at a path, `sqlite:///PATH` or `postgresql://USER@HOST/DATABASE`.

    The caller must dispose of the engine.

    create: create the file, its folder and the schema if they are missing. A PostgreSQL database must exist, and must
    be empty or a job database. Safe in several processes at once.
    read_only: for commands that only read. Works while workers write, and does not change the file.
    busy_seconds: how long a transaction waits for a lock.

    A database of an older rnnlab is migrated. A SQLite file is copied first, into the same folder.

    Raises DatabaseError with a one-line message, and does not change the database, if there is no database
    (create=False), if it is not a job database or comes from a newer rnnlab, if it comes from an older rnnlab and
    read_only is set or its workers may be alive, and if it cannot be reached, read or written.
    """
    assert not (create and read_only), "a read-only database is not created"
    address = _address(url_or_path)
    if isinstance(address, Path):
        return sqlite_file.open_engine(address, create=create, read_only=read_only, busy_seconds=busy_seconds)
    return postgres.open_engine(address, create=create, read_only=read_only, busy_seconds=busy_seconds)


def sibling_engine(engine: Engine, *, busy_seconds: float) -> Engine:
    """A second writing engine for the same, already checked database, with its own connections and timeout."""
    if engine.dialect.name == "sqlite":
        return sqlite.sibling_engine(engine, busy_seconds=busy_seconds)
    return postgres.sibling_engine(engine, busy_seconds=busy_seconds)


def _address(url_or_path: str | Path) -> Path | URL:
    """The path of a SQLite file, or the URL of a PostgreSQL database. Error messages do not show the password."""
    text = str(url_or_path)
    if isinstance(url_or_path, Path) or "://" not in text:
        return _file(text)
    scheme = text.split("://")[0]
    try:
        url = make_url(text)
    except (exc.ArgumentError, ValueError) as error:
        raise DatabaseError(f"{scheme}://... is not a valid database URL: {_ADDRESSES}") from error
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if url.database in (None, "", ":memory:") or url.query or url.host:
            raise DatabaseError(f"{scheme}://...: a job database must be a file: give a path or sqlite:///PATH")
        return _file(str(url.database))
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise DatabaseError(f"{scheme}://...: only SQLite and PostgreSQL (with psycopg) are supported: {_ADDRESSES}")
    if not url.database:
        raise DatabaseError(
            f"{postgres.shown(url)}: the address has no database name: give postgresql://USER@HOST/DATABASE"
        )
    return url.set(drivername="postgresql+psycopg")


def _file(given: str) -> Path:
    """The path with links resolved: SQLite keeps its log next to the file, not next to a link to it."""
    try:
        return Path(given).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # an unknown home directory, a loop of links
        raise DatabaseError(f"job database {given!r} cannot be reached ({error}): name another with --db") from error
