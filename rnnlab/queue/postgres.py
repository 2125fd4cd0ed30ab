"""The job database in PostgreSQL: how it is opened, how its transactions begin, what its errors mean.

Writing transactions are READ COMMITTED: every statement that changes a state is guarded, and PostgreSQL evaluates the
guard again after it has waited for another transaction. Reading transactions see one snapshot and cannot write.

A server may be restarted at any time. The call that is interrupted raises a DatabaseError; the next call reconnects.
"""

import math
import time
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from rnnlab.errors import DatabaseAwayError, DatabaseError
from rnnlab.queue import schema
from rnnlab.queue.transactions import WRITES, CollisionError, read_transaction, write_transaction

_SCHEMA_LOCK = 0x726E6E6C6162  # "rnnlab": key of the advisory lock for creating or migrating the schema
_PASSING = ("53300", "55P03")  # too many connections, locked: a later attempt may succeed
_PING_SECONDS = 0.5  # a connection that was idle for longer is tested before it is used
_COLLISIONS = ("40001", "40P01")  # serialization failure, deadlock


def open_engine(url: URL, *, create: bool, read_only: bool, busy_seconds: float) -> Engine:
    """An engine for the database; see `open_database`. A DatabaseError has one line, and nothing is changed."""
    engine = _engine(url, read_only=read_only, busy_seconds=busy_seconds)
    try:
        with read_transaction(engine) as connection:
            found = schema.version_of(connection, shown(url))
        if found is None and not create:
            raise schema.missing(shown(url))
        if read_only:
            schema.refuse_older(found, shown(url))
        if not schema.is_current(found):
            with write_transaction(engine) as connection:
                # The first of several processes creates or migrates the schema; the others find it up to date.
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
                schema.bring_up_to_date(connection, shown(url))
    except BaseException:
        engine.dispose()
        raise
    return engine


def sibling_engine(engine: Engine, *, busy_seconds: float) -> Engine:
    """A second engine for writing to the same, already checked database."""
    return _engine(engine.url, read_only=False, busy_seconds=busy_seconds)


def shown(url: URL) -> str:
    """The address for messages, without password and options."""
    host = url.host or url.query.get("host")
    host = host if isinstance(host, str) else None
    return URL.create("postgresql", url.username, None, host, url.port, url.database).render_as_string()


def _engine(url: URL, *, read_only: bool, busy_seconds: float) -> Engine:
    # A server can vanish without closing its connections (a cut cable, a crash). This detects it in time: see tcp(7).
    network = {
        "connect_timeout": max(2, min(10, int(busy_seconds))),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": round(busy_seconds * 1000),
        "application_name": "rnnlab",
    }
    try:
        engine = create_engine(
            url,
            connect_args={name: value for name, value in network.items() if name not in url.query},
            isolation_level="READ COMMITTED",
            pool_size=2,
        )
    except ModuleNotFoundError as error:
        raise DatabaseError(
            f"{shown(url)}: PostgreSQL requires the package psycopg: run pip install 'rnnlab[postgres]', or use SQLite"
        ) from error
    except exc.ArgumentError as error:
        raise DatabaseError(f"{shown(url)}: {_line(error)}: correct the address") from error
    _check_options(url, engine.dialect.loaded_dbapi)

    @event.listens_for(engine, "connect")
    def connect(driver: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        settings = f"SET lock_timeout = {round(busy_seconds * 1000)}; "
        settings += f"SET default_transaction_read_only = {'on' if read_only else 'off'}"
        driver.autocommit = True  # a setting made in a transaction is lost when it rolls back
        cursor = driver.cursor()
        cursor.execute(settings)
        cursor.close()
        driver.autocommit = False

    # A connection that the server has closed is replaced before it is used. (pool_pre_ping tests before every use,
    # which costs a tenth of the throughput.)
    @event.listens_for(engine, "checkin")
    def checkin(_driver: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info["used_at"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def checkout(driver: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        if time.monotonic() - entry.info.get("used_at", math.inf) > _PING_SECONDS:
            try:
                engine.dialect.do_ping(driver)
            except engine.dialect.loaded_dbapi.Error as error:
                raise exc.DisconnectionError from error

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get(WRITES, False):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    @event.listens_for(engine, "handle_error", retval=True)
    def explain(context: ExceptionContext) -> BaseException | None:
        return _explain(context.sqlalchemy_exception, url)

    return engine


def _check_options(url: URL, driver: Any) -> None:
    """Raise DatabaseError for an option unknown to PostgreSQL. (The driver has more options, which are not public.)"""
    known = {option.keyword.decode() for option in driver.pq.Conninfo.get_defaults()}
    for name in url.query:
        if name not in known:
            raise DatabaseError(
                f"{shown(url)}: {name!r} is not an option of a PostgreSQL address (such as sslmode, connect_timeout): "
                "correct or remove it"
            )


def _explain(error: exc.StatementError | None, url: URL) -> DatabaseError | None:
    """The error to raise instead, with advice for the user; None for a bug in this program."""
    if not isinstance(error, exc.DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None) or ""  # empty if the error is not from the server
    if state in _COLLISIONS:
        return CollisionError(
            f"job database {shown(url)} is too busy, transactions conflict: run the same command again"
        )
    changed = f"was removed or restored while it was in use ({_line(error.orig)}): run the same command again"
    problem = {
        "25006": "is read-only: make it writable, or name another with --db",
        "3F000": "has no schema in the search path: grant its user access to one, or name another with --db",
        "42P01": changed,
        "42703": changed,
        "42501": f"denies permission ({_line(error.orig)}): ask its owner for access, or name another with --db",
        "53100": "cannot grow, the disk is full: free some space on the server, then run the same command again",
        "53300": "accepts no more connections: stop some workers, or raise max_connections on the server",
        "55P03": "is locked by another program: close that program, then run the same command again",
    }.get(state)
    if problem is None:
        if not state and error.statement is None and isinstance(error, exc.ProgrammingError):
            return DatabaseError(f"{shown(url)}: {_line(error.orig)}: correct the address")  # an option's value
        if isinstance(error, exc.IntegrityError | exc.ProgrammingError | exc.DataError):
            return None
        if not state or state[:2] in ("08", "57") or error.connection_invalidated:
            reason = f"cannot be reached ({_line(error.orig)}): check the server and the address"
            return DatabaseAwayError(f"job database {shown(url)} {reason}, then run the same command again")
        problem = f"cannot be used ({_line(error.orig)}): check the server, or name another with --db"
    kind = DatabaseAwayError if state in _PASSING else DatabaseError
    return kind(f"job database {shown(url)} {problem}")


def _line(error: BaseException | None) -> str:
    """The first line of the message of the server or its client library; neither contains a password."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
