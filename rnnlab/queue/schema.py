"""Which schema a database has, and giving it the present one: the same on every database."""

from sqlalchemy import Connection, inspect, select

from rnnlab.errors import DatabaseError
from rnnlab.queue import tables
from rnnlab.queue.tables import APPLICATION, meta, metadata

SCHEMA_VERSION = tables.SCHEMA_VERSION


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


def bring_up_to_date(connection: Connection, where: str) -> None:
    """Make the schema where it is missing, in the caller's transaction, while nobody else does."""
    if version_of(connection, where) is None:
        metadata.create_all(connection, checkfirst=False)
        rows = {"application": APPLICATION, "schema_version": str(SCHEMA_VERSION)}
        connection.execute(meta.insert(), [{"key": key, "value": value} for key, value in rows.items()])
