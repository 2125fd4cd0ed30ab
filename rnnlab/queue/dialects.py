"""SQL that differs between SQLite and PostgreSQL. Each function takes SQLAlchemy's name of the dialect."""

from typing import TYPE_CHECKING

from sqlalchemy import JSON, ColumnElement, Table, case, cast, func

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def conflict_insert(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT into `table` that has on_conflict_do_nothing() and on_conflict_do_update()."""
    # Imported here, because commands that only read (`rnnlab status`) need neither and start faster without them.
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def takes_changes_in_queries(dialect: str) -> bool:
    """Whether an UPDATE or INSERT can be part of a larger statement, as a common table expression."""
    return dialect == "postgresql"


def number_in(dialect: str, document: ColumnElement[str], key: str) -> ColumnElement[float]:
    """The number under `key` of a JSON object, NULL if there is none. `key` must be an identifier."""
    assert key.isidentifier()
    if dialect == "sqlite":
        path = f'$."{key}"'
        is_number = func.json_type(document, path).in_(("integer", "real"))
        return case((is_number, func.json_extract(document, path)))
    value = cast(document, JSON)[key]
    return case((func.json_typeof(value) == "number", value.as_float()))
