"""The SQL statements of a claim: they update the rows of the jobs and add the events."""

import json
from enum import Enum
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Double,
    FromClause,
    Insert,
    Select,
    Text,
    bindparam,
    case,
    cast,
    exists,
    func,
    insert,
    literal,
    not_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from rnnlab.queue.dialects import takes_changes_in_queries
from rnnlab.queue.job import Job, Status
from rnnlab.queue.rows import job_from_row
from rnnlab.queue.sqlite import execute_directly
from rnnlab.queue.tables import CLAIM_ORDER, IS_PENDING, IS_SUSPECTED, STARTED_ORDER, WAS_STARTED, events, jobs, workers

# The worker, unless it was stopped or found dead. The row is locked where the database locks rows, so that no other
# process can mark the worker as dead during its claim.
IS_ALIVE = (
    select(workers.c.id)
    .where(workers.c.id == bindparam("the_worker"), workers.c.stopped_at.is_(None))
    .with_for_update(read=True)
)


class Among(Enum):
    """Which pending jobs a claim chooses from."""

    UNSUSPECTED = "all except suspected jobs"
    STARTED = "jobs that a worker has started before, except suspected ones"
    SUSPECTED = "jobs whose workers died repeatedly: the next worker must hold such a job alone"


def claim(connection: Connection, values: dict[str, Any], among: Among) -> list[Job]:
    """pending -> running, for up to `the_limit` jobs of one group, with their events; in any order.

    values: the_worker, the_limit, now; also the_group and the_experiment to restrict the claim to such jobs.

    Returns an empty list if no job is eligible or the worker was stopped.
    """
    kind = ("the_group" in values, "the_experiment" in values, among)
    if takes_changes_in_queries(connection.dialect.name):
        return [job_from_row(row) for row in connection.execute(_all_at_once(*kind), values).mappings()]
    rows = execute_directly(connection, _claim_statement(*kind), values).fetchall()
    if rows:
        ids = json.dumps([row[0] for row in rows])
        execute_directly(connection, _EVENTS_OF_IDS, {"the_ids": ids, "now": values["now"]})
    return [job_from_row(dict(zip(jobs.c.keys(), row, strict=True))) for row in rows]


def _events_of(claimed: FromClause) -> Insert:
    """Events for the jobs in `claimed`."""
    row = {
        events.c.job_id: claimed.c.id,
        events.c.at: bindparam("now", type_=Double),
        events.c.kind: case((claimed.c.epoch == 1, "claimed"), else_="resumed"),
        events.c.worker_id: claimed.c.worker_id,
        events.c.epoch: claimed.c.epoch,
        events.c.detail: case((claimed.c.step > 0, literal("step ") + cast(claimed.c.step, Text)), else_=""),
    }
    return insert(events).from_select(list(row), select(*row.values()).order_by(claimed.c.id))


# the_ids: a JSON array, so that any number of ids is one parameter
_IDS = select(func.json_each(bindparam("the_ids")).table_valued("value").c.value)
_EVENTS_OF_IDS = _events_of(select(jobs).where(jobs.c.id.in_(_IDS)).subquery())


@cache
def _all_at_once(one_group: bool, one_experiment: bool, among: Among) -> Select[Any]:
    """Everything in one statement. On a database server, a round trip costs more than the work of a statement."""
    claimed = _claim_statement(one_group, one_experiment, among).cte("claimed")
    return select(claimed).add_cte(_events_of(claimed).cte("recorded"))


@cache
def _claim_statement(one_group: bool, one_experiment: bool, among: Among) -> ReturningUpdate[Any]:
    # Separate CTEs select the rows, and lock them where the database locks rows. Without this fence a planner may
    # update more rows than the limit allows. A first job that another worker is claiming at the same time is skipped:
    # if it decided the group, no job might be left to claim in that group.
    eligible = [IS_PENDING, IS_SUSPECTED if among is Among.SUSPECTED else not_(IS_SUSPECTED)]
    if one_experiment:
        eligible.append(jobs.c.experiment == bindparam("the_experiment"))
    if among is not Among.UNSUSPECTED:
        eligible.append(WAS_STARTED)
    order = CLAIM_ORDER if among is Among.UNSUSPECTED else STARTED_ORDER
    first = select(jobs.c.group_key).where(*eligible).order_by(*order).limit(1).with_for_update(skip_locked=True)
    first_group = select(first.cte("first_job").c.group_key).scalar_subquery()
    of_group = jobs.c.group_key == (bindparam("the_group") if one_group else first_group)
    alive = IS_ALIVE.cte("alive")
    picked = (
        select(jobs.c.id)
        .where(*eligible, of_group, exists(select(alive.c.id)))
        .order_by(*order)
        .limit(bindparam("the_limit"))
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    return (
        update(jobs)
        .where(jobs.c.id.in_(select(picked.c.id)), IS_PENDING)
        .values(
            status=Status.RUNNING.value,
            epoch=jobs.c.epoch + 1,
            worker_id=bindparam("the_worker"),
            started_at=func.coalesce(jobs.c.started_at, bindparam("now")),
        )
        .returning(*jobs.c)
    )
