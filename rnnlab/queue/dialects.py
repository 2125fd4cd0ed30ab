"""SQL that SQLite and PostgreSQL write differently, by the name that SQLAlchemy has for each."""

from typing import TYPE_CHECKING

from sqlalchemy import JSON, ColumnElement, Table, case, cast, func

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite


def conflict_insert(dialect: str, table: Table) -> "sqlite.Insert | postgresql.Insert":
    """An INSERT into `table` that knows on_conflict_do_nothing() and on_conflict_do_update()."""
    # Imported here: a glance at the table (`rnnlab status`) inserts nothing, and need not wait for both.
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)


def takes_changes_in_queries(dialect: str) -> bool:
    """Whether an UPDATE or INSERT can be part of a larger statement, as a common table expression."""
    return dialect == "postgresql"


def number_in(dialect: str, document: ColumnElement[str], key: str) -> ColumnElement[float]:
    """The number under `key` of a JSON object, NULL where there is none. `key`: an identifier."""
    assert key.isidentifier()
    if dialect == "sqlite":
        place = f'$."{key}"'
        is_number = func.json_type(document, place).in_(("integer", "real"))
        return case((is_number, func.json_extract(document, place)))
    value = cast(document, JSON)[key]
    return case((func.json_typeof(value) == "number", value.as_float()))
