"""The release of a running job without a result: its new status, and the events that record it.

A request comes first: if an operator has requested a pause or a cancellation, the job is paused or cancelled, whatever
the reason for the release is. Otherwise the job is failed if a budget is used up, and pending if not. The column `wish`
holds the request.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, false, null

from rnnlab.queue.job import Request, Status
from rnnlab.queue.rows import event_row
from rnnlab.queue.tables import jobs

_PAUSE = jobs.c.wish == Request.PAUSE.value
_CANCEL = jobs.c.wish == Request.CANCEL.value

ON_REQUEST = "requested by an operator"  # detail of the event

# The columns that `release_events` needs.
RETURNED = (jobs.c.id, jobs.c.status, jobs.c.epoch, jobs.c.worker_id)


def release_values(budget_is_used_up: ColumnElement[bool] | None = None) -> dict[str, Any]:
    """running -> pending, failed, paused, cancelled: the values of an UPDATE; the parameter `now` is the time."""
    used_up = false() if budget_is_used_up is None else budget_is_used_up
    ends = _CANCEL | and_(jobs.c.wish.is_(None), used_up)
    return {
        "status": case(
            (_PAUSE, Status.PAUSED.value),
            (_CANCEL, Status.CANCELLED.value),
            (used_up, Status.FAILED.value),
            else_=Status.PENDING.value,
        ),
        "finished_at": case((ends, bindparam("now")), else_=null()),
        "wish": null(),
    }


def release_events(
    released: Iterable[Row[Any]], kind: str, *, at: float, detail: str = "", failed: str = ""
) -> list[dict[str, Any]]:
    """Events for jobs, given as rows with `RETURNED`: of this kind and detail, or `failed` with its own detail.

    A job with a request has two events: it became pending, and the request was applied at the same time.
    """
    events = []
    for job_id, status, epoch, worker_id in sorted(tuple(row) for row in released):
        recorded = [("failed", failed)] if status == Status.FAILED else [(kind, detail)]
        recorded += [(status, ON_REQUEST)] if status in (Status.PAUSED, Status.CANCELLED) else []
        events += [
            event_row(job_id, what, at=at, epoch=epoch, worker_id=worker_id, detail=why) for what, why in recorded
        ]
    return events
