"""SQL that SQLite and PostgreSQL write differently, by the name that SQLAlchemy has for each."""

from sqlalchemy import JSON, ColumnElement, Table, case, cast, func
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect


def conflict_insert(dialect: str, table: Table) -> sqlite_dialect.Insert | postgresql_dialect.Insert:
    """An INSERT into `table` that knows on_conflict_do_nothing() and on_conflict_do_update()."""
    return sqlite_dialect.insert(table) if dialect == "sqlite" else postgresql_dialect.insert(table)


def takes_changes_in_queries(dialect: str) -> bool:
    """Whether an UPDATE or INSERT can be part of a larger statement, as a common table expression."""
    return dialect == "postgresql"


def number_in(dialect: str, document: ColumnElement[str], key: str) -> ColumnElement[float]:
    """The number under `key` of a JSON object, NULL where there is none. `key`: an identifier."""
    assert key.isidentifier()
    if dialect == "sqlite":
        path = f'$."{key}"'
        return case((func.json_type(document, path).in_(["integer", "real"]), func.json_extract(document, path)))
    value = cast(document, JSON)[key]
    return case((func.json_typeof(value) == "number", value.as_float()))
