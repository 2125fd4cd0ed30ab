"""The SQL statements that finish a job: they update its row and its curve and add the event."""

from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Double,
    FromClause,
    Insert,
    Integer,
    Select,
    Text,
    bindparam,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from rnnlab.queue.dialects import conflict_insert, takes_changes_in_queries
from rnnlab.queue.job import Status
from rnnlab.queue.sqlite import execute_directly
from rnnlab.queue.tables import IS_CLAIMED, IS_LAST_CLAIM, curves, events, jobs

# running -> done, even if a request is pending
_FINISH = (
    update(jobs)
    .where(IS_CLAIMED)
    .values(
        status=Status.DONE.value,
        step=func.coalesce(bindparam("new_step", type_=Integer), jobs.c.target_steps),
        deaths=0,
        seconds=bindparam("new_seconds", type_=Double),
        result=bindparam("the_result"),
        finished_at=bindparam("now"),
        wish=null(),
    )
    .returning(jobs.c.id, jobs.c.worker_id, jobs.c.epoch)
)

# Whether an earlier call finished the job but its answer was lost.
_WAS_FINISHED = select(jobs.c.id).where(IS_LAST_CLAIM, jobs.c.status == Status.DONE.value)


def finish(connection: Connection, values: dict[str, Any]) -> bool:
    """running -> done, with curve and event. Returns False and changes nothing if the claim is no longer valid.

    values: the_job, the_worker, the_epoch, new_step (None: the target), new_seconds, the_result, the_points, now.
    """
    dialect = connection.dialect.name
    if takes_changes_in_queries(dialect):
        is_done = connection.execute(_all_at_once(dialect), values).first() is not None
    else:
        is_done = execute_directly(connection, _FINISH, values).fetchone() is not None
        for statement in _following_statements(dialect) if is_done else ():
            execute_directly(connection, statement, values)
    return is_done or connection.scalar(_WAS_FINISHED, values) is not None


@cache
def _all_at_once(dialect: str) -> Select[Any]:
    """Everything in one statement. On a database server, a round trip costs more than the work of a statement."""
    finished = _FINISH.cte("finished")
    curve, event = _curve_and_event(dialect, finished)
    return select(finished.c.id).add_cte(curve.cte("kept"), event.cte("recorded"))


@cache
def _following_statements(dialect: str) -> tuple[Insert, Insert]:
    return _curve_and_event(dialect, select(jobs).where(IS_LAST_CLAIM).subquery())


def _curve_and_event(dialect: str, finished: FromClause) -> tuple[Insert, Insert]:
    """Replace the curve and add the event of each job in `finished`, which has id, worker_id and epoch."""
    points = select(finished.c.id, bindparam("the_points", type_=Text)).where(finished.c.id == bindparam("the_job"))
    curve = conflict_insert(dialect, curves).from_select([curves.c.job_id, curves.c.points], points)
    curve = curve.on_conflict_do_update(index_elements=[curves.c.job_id], set_={"points": curve.excluded.points})
    row = {
        events.c.job_id: finished.c.id,
        events.c.at: bindparam("now", type_=Double),
        events.c.kind: literal("finished"),
        events.c.worker_id: finished.c.worker_id,
        events.c.epoch: finished.c.epoch,
        events.c.detail: literal(""),
    }
    return curve, insert(events).from_select(list(row), select(*row.values()))
