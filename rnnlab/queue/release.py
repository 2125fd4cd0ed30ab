"""A running job leaves its worker without a result: where it goes, and the events that tell of it.

A wish comes first: what an operator wants paused or cancelled is so, however it left. Else it is failed when a budget
is used up, and pending when not.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, case, false, null

from rnnlab.queue.job import Status, Wish
from rnnlab.queue.rows import event_row
from rnnlab.queue.tables import jobs

_PAUSE = jobs.c.wish == Wish.PAUSE.value
_CANCEL = jobs.c.wish == Wish.CANCEL.value

AS_WISHED = "as an operator wished"  # detail of the event

# What `departure_events` needs of each job.
RETURNED = (jobs.c.id, jobs.c.status, jobs.c.epoch, jobs.c.worker_id)


def departing(budget_is_used_up: ColumnElement[bool] | None = None) -> dict[str, Any]:
    """running -> pending, failed, paused, cancelled: values for an UPDATE; the time is the parameter `now`."""
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


def departure_events(
    left: Iterable[Row[Any]], kind: str, *, at: float, detail: str = "", failed: str = ""
) -> list[dict[str, Any]]:
    """Events of jobs, given as `RETURNED`: of this kind and detail, or `failed` with a detail of its own.

    A job with a wish has two: it became pending, and what was wished was done in the same moment.
    """
    events = []
    for job_id, status, epoch, worker_id in sorted(tuple(row) for row in left):
        told = [("failed", failed)] if status == Status.FAILED else [(kind, detail)]
        told += [(status, AS_WISHED)] if status in (Status.PAUSED, Status.CANCELLED) else []
        events += [event_row(job_id, what, at=at, epoch=epoch, worker_id=worker_id, detail=why) for what, why in told]
    return events
