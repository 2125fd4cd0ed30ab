"""Conversion between the rows of the tables and the frozen records of job.py."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, insert

from rnnlab.queue.job import Curve, Event, Job, Request, Status, WorkerRecord
from rnnlab.queue.tables import events

MAX_ID = 2**31 - 1  # job ids are 1, 2, ...; PostgreSQL cannot compare them with larger numbers
IN_CHUNK = 500  # values in one IN (...) list; SQLite and the drivers allow far more, but larger plans cost more

_INSERT_EVENT = insert(events)


def job_from_row(row: Mapping[Any, Any]) -> Job:
    """A job from a row with all columns of `jobs`. The column `wish` holds its request."""
    fields: dict[str, Any] = dict(row)
    fields["status"] = Status(fields["status"])
    wish = fields.pop("wish")
    fields["request"] = None if wish is None else Request(wish)
    fields["result"] = None if fields["result"] is None else json.loads(fields["result"])
    return Job(**fields)


def worker_from_row(row: RowMapping) -> WorkerRecord:
    """A worker from a row of `workers`."""
    return WorkerRecord(**row)


def event_from_row(row: RowMapping) -> Event:
    """An event from a row of `events`."""
    return Event(**row)


def result_to_json(result: Mapping[str, Any]) -> str:
    """Standard JSON, so that databases can read values from it; every text is made `storable`.

    Raises ValueError for NaN and infinities, which standard JSON cannot express: use None for a missing number.
    """
    return json.dumps(_storable_texts(dict(result)), allow_nan=False)


def _storable_texts(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {_storable_texts(key): _storable_texts(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable_texts(item) for item in value]
    return value


def curve_to_json(curve: Curve) -> str:
    """JSON from which `curve_from_json` restores the same numbers, bit for bit, including NaN and infinities."""
    return json.dumps({"steps": curve.steps, "series": curve.series}, separators=(",", ":"))


def curve_from_json(text: str) -> Curve:
    """The inverse of `curve_to_json`."""
    points = json.loads(text)
    return Curve(points["steps"], points["series"])


def event_row(
    job_id: int, kind: str, *, at: float, epoch: int, worker_id: str | None = None, detail: str = ""
) -> dict[str, Any]:
    """A new row of `events`; for `add_events`."""
    return {
        "job_id": job_id,
        "at": at,
        "kind": kind,
        "worker_id": worker_id,
        "epoch": epoch,
        "detail": storable(detail),
    }


def storable(text: str) -> str:
    """The text with escapes for characters that a database cannot store: lone surrogates and the null character.

    Tracebacks can contain them: file names that are not UTF-8, bytes of a broken file.
    """
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def add_events(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Append to the history, in the transaction of the transition that the rows record."""
    if rows:
        connection.execute(_INSERT_EVENT, rows)
