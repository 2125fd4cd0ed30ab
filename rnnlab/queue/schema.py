"""Which schema a database has, and giving it the present one: the same on every database."""

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

_MIGRATIONS = "rnnlab.queue:migrations"  # package and folder of the revisions, as alembic wants it
_one_at_a_time = Lock()  # alembic keeps what it works on in global variables


def is_current(version: int | None) -> bool:
    """Whether `version_of` found the schema of this rnnlab."""
    return version == SCHEMA_VERSION


def version_of(connection: Connection, where: str) -> int | None:
    """The schema version of the database, None for an empty one. `where` is its name in messages.

    Raises DatabaseError when it is somebody else's, or comes from a newer rnnlab.
    """
    inspector = inspect(connection)
    names = {*inspector.get_table_names(), *inspector.get_view_names()}
    if not names:
        return None
    foreign = DatabaseError(f"database {where} holds other things, but none of rnnlab's: name another with --db")
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
            f"job database {where} was written by a newer rnnlab (schema {version}, this one knows {SCHEMA_VERSION}): "
            "upgrade rnnlab"
        )
    return int(version)


def missing(where: str) -> DatabaseError:
    """What is told where there is no job database yet."""
    return DatabaseError(f"no job database at {where}: run `rnnlab init NAME` first, or name another with --db")


def refuse_older(version: int | None, where: str) -> None:
    """For those who only look. Raises DatabaseError when the schema is an older one."""
    if not is_current(version):
        raise DatabaseError(
            f"job database {where} is of an older rnnlab (schema {version}, this one needs {SCHEMA_VERSION}): "
            "`rnnlab worker`, or any other command that may write, brings it up to date first"
        )


def bring_up_to_date(connection: Connection, where: str, before: Callable[[int], object] | None = None) -> None:
    """Make the schema where it is missing, migrate it where it is older; in the caller's transaction, alone.

    before: called with the old version before anything is changed.

    Raises DatabaseError when workers of the older rnnlab are alive, or may be.
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
        _stamp(connection, version)  # version 1 did not know of alembic; `meta` is what counts
        migrate(connection, SCHEMA_VERSION)


def migrate(connection: Connection, version: int) -> None:
    """Apply the revisions up to one, in the caller's transaction."""
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
    """A running worker knows nothing of the new schema: it must end before, and can, at no cost.

    Of a worker of this host its lock tells. One of another host cannot be told from a silent one at a single look, for
    clocks of two hosts are never compared: it has to sign off, or be found dead by a worker that watches it.
    """
    known = {field.name for field in fields(WorkerRecord)}
    rows = connection.execute(text("SELECT * FROM workers WHERE stopped_at IS NULL ORDER BY id")).mappings()
    records = [WorkerRecord(**{name: row[name] for name in row if name in known}) for row in rows]
    alive = [f"{record.id} on {record.host}" for record in records if is_dead(record, this_host(), 0.0) is None]
    if alive:
        raise DatabaseError(
            f"job database {where} is of an older rnnlab (schema {version}), and workers of it may be alive "
            f"({', '.join(alive)}): stop them, then run the same command again to bring it up to date; if one is gone "
            "for good, `rnnlab worker` of the older rnnlab notices within two minutes"
        )
