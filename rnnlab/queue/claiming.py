"""The statement by which a worker claims jobs."""

from functools import cache
from typing import Any

from sqlalchemy import bindparam, exists, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from rnnlab.queue.job import Status
from rnnlab.queue.tables import CLAIM_ORDER, IS_PENDING, STARTED_ORDER, WAS_STARTED, jobs, workers

# The worker, unless it was stopped or found dead. Locked where the database locks rows, so that it cannot be found dead
# in the midst of its claim.
IS_ALIVE = (
    select(workers.c.id)
    .where(workers.c.id == bindparam("the_worker"), workers.c.stopped_at.is_(None))
    .with_for_update(read=True)
)


@cache
def claim_statement(one_group: bool, one_experiment: bool, started_only: bool) -> ReturningUpdate[Any]:
    """pending -> running, of up to `the_limit` jobs of one group; returns all columns.

    Parameters: the_worker, the_limit, now; the_group, the_experiment where only such jobs are wanted. No jobs are
    claimed when there are none, or when the worker was stopped.
    """
    # The rows are picked, and locked where the database locks rows, in CTEs of their own: without this fence a planner
    # may update more rows than the limit allows. A first job that somebody else is just claiming does not decide the
    # group, or nothing would be left to claim in it.
    eligible = [IS_PENDING]
    if one_experiment:
        eligible.append(jobs.c.experiment == bindparam("the_experiment"))
    if started_only:
        eligible.append(WAS_STARTED)
    order = STARTED_ORDER if started_only else CLAIM_ORDER
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
