"""The schema version of a database, and the migration to the current one. The same for every database system."""

from collections.abc import Callable
from dataclasses import fields
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, select, text

from rnnlab.errors import DatabaseError
from rnnlab.queue.job import WorkerRecord
from rnnlab.queue.liveness import is_dead, this_host
from rnnlab.queue.tables import APPLICATION, SCHEMA_VERSION, meta, metadata

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = "rnnlab.queue:migrations"  # package and folder of the revisions, in alembic's notation
_one_at_a_time = Lock()  # alembic keeps its state in global variables


def is_current(version: int | None) -> bool:
    """Whether `version_of` found the schema of this rnnlab."""
    return version == SCHEMA_VERSION


def version_of(connection: Connection, where: str) -> int | None:
    """The schema version of the database, None for an empty one. `where` is its name in messages.

    Raises DatabaseError if it is not a job database, or comes from a newer rnnlab.
    """
    inspector = inspect(connection)
    names = {*inspector.get_table_names(), *inspector.get_view_names()}
    if not names:
        return None
    foreign = DatabaseError(f"database {where} has tables, but none of rnnlab's: name another with --db")
    if meta.name not in names:
        raise foreign
    if not {"key", "value"} <= {column["name"] for column in inspector.get_columns(meta.name)}:
        raise foreign
    values = {str(key): str(value) for key, value in connection.execute(select(meta.c.key, meta.c.value))}
    version = values.get("schema_version", "")
    if values.get("application") != APPLICATION or not version.isdecimal():
        raise foreign
    if int(version) > SCHEMA_VERSION:
        raise DatabaseError(
            f"job database {where} was written by a newer rnnlab (schema {version}, this rnnlab supports "
            f"{SCHEMA_VERSION}): upgrade rnnlab"
        )
    return int(version)


def missing(where: str) -> DatabaseError:
    """The error for a missing job database."""
    return DatabaseError(f"no job database at {where}: run `rnnlab init NAME` first, or name another with --db")


def refuse_older(version: int | None, where: str) -> None:
    """Raise DatabaseError if the schema is older than the current one; for commands that only read."""
    if not is_current(version):
        raise DatabaseError(
            f"job database {where} is from an older rnnlab (schema {version}, this rnnlab needs {SCHEMA_VERSION}): "
            "run `rnnlab worker`, or any other command that writes, to migrate it"
        )


def bring_up_to_date(connection: Connection, where: str, before: Callable[[int], object] | None = None) -> None:
    """Create the schema if it is missing, migrate it if it is older, in the caller's exclusive transaction.

    before: called with the old version before anything is changed.

    Raises DatabaseError if workers of the older rnnlab are alive or may be alive.
    """
    version = version_of(connection, where)
    if version is None:
        metadata.create_all(connection, checkfirst=False)
        rows = {"application": APPLICATION, "schema_version": str(SCHEMA_VERSION)}
        connection.execute(meta.insert(), [{"key": key, "value": value} for key, value in rows.items()])
        _stamp(connection, SCHEMA_VERSION)
    elif not is_current(version):
        _refuse_live_workers(connection, where, version)
        if before is not None:
            before(version)
        _stamp(connection, version)  # version 1 did not use alembic; `meta` has the version
        migrate(connection, SCHEMA_VERSION)


def migrate(connection: Connection, version: int) -> None:
    """Apply the revisions up to this version, in the caller's transaction."""
    from alembic import command

    with _one_at_a_time:
        command.upgrade(_config(connection), _revision(version))


def _stamp(connection: Connection, version: int) -> None:
    from alembic import command

    with _one_at_a_time:
        command.stamp(_config(connection), _revision(version), purge=True)


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", _MIGRATIONS)
    return config


def _revision(version: int) -> str:
    return f"{version:04d}"


def _refuse_live_workers(connection: Connection, where: str, version: int) -> None:
    """Raise DatabaseError if workers may be alive: they do not know the new schema. They can stop at no cost.

    The lock shows whether a worker of this host is alive. For a worker of another host, one look cannot show it,
    because clocks of two hosts are never compared: it must have stopped, or a worker that watches it must have found it
    dead.
    """
    known = {field.name for field in fields(WorkerRecord)}
    rows = connection.execute(text("SELECT * FROM workers WHERE stopped_at IS NULL ORDER BY id")).mappings()
    records = [WorkerRecord(**{name: row[name] for name in row if name in known}) for row in rows]
    alive = [f"{record.id} on {record.host}" for record in records if is_dead(record, this_host(), 0.0) is None]
    if alive:
        raise DatabaseError(
            f"job database {where} is from an older rnnlab (schema {version}), and its workers may be alive "
            f"({', '.join(alive)}): stop them, then run the same command again to migrate it; if a worker has died, "
            "`rnnlab worker` of the older rnnlab detects it within two minutes"
        )
