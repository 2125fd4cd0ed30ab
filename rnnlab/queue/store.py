"""The store: jobs are claimed, carried on and ended. The whole interface of the queue is the class `Store`.

Each state change is one guarded statement in one transaction, with its transition beside it, and the event that records
it is written in the same transaction. A write about a running job goes through only while (job, worker, epoch) are
those of the last claim: a worker that was taken for dead, and comes back, can change nothing.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Integer, Update, and_, bindparam, case, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from rnnlab.errors import StaleClaimError
from rnnlab.queue.database import conflict_insert
from rnnlab.queue.job import Claim, Curve, Job, Status
from rnnlab.queue.rows import add_events, curve_to_json, event_row, job_from_row
from rnnlab.queue.tables import CLAIM_ORDER, IS_PENDING, IS_RUNNING, STARTED_ORDER, WAS_STARTED, curves, jobs, workers
from rnnlab.queue.transactions import write_transaction
from rnnlab.queue.workers import WorkerTable, stopped_error

_IS_CLAIMED = and_(
    jobs.c.id == bindparam("the_job"),
    jobs.c.worker_id == bindparam("the_worker"),
    jobs.c.epoch == bindparam("the_epoch"),
    IS_RUNNING,
)
_STEP = bindparam("new_step", type_=Integer)
_MORE_SECONDS = jobs.c.seconds + bindparam("more_seconds")

# running -> running. The step never goes back: a job that lost its checkpoint makes progress only past its old mark.
_PROGRESS = (
    update(jobs)
    .where(_IS_CLAIMED)
    .values(
        step=case((jobs.c.step < _STEP, _STEP), else_=jobs.c.step),
        deaths=case((jobs.c.step < _STEP, 0), else_=jobs.c.deaths),
        seconds=_MORE_SECONDS,
    )
)

# running -> done
_FINISH = (
    update(jobs)
    .where(_IS_CLAIMED)
    .values(
        status=Status.DONE.value,
        step=func.coalesce(_STEP, jobs.c.target_steps),
        deaths=0,
        seconds=_MORE_SECONDS,
        result=bindparam("the_result"),
        finished_at=bindparam("now"),
    )
)

# running -> failed
_FAIL = (
    update(jobs)
    .where(_IS_CLAIMED)
    .values(status=Status.FAILED.value, error=bindparam("the_error"), finished_at=bindparam("now"))
)

# running -> pending
_RELEASE = update(jobs).where(_IS_CLAIMED).values(status=Status.PENDING.value)

# failed -> pending
_RETRY = (
    update(jobs)
    .where(jobs.c.status == Status.FAILED.value)
    .values(status=Status.PENDING.value, deaths=0, error=None, finished_at=None)
    .returning(jobs.c.id, jobs.c.epoch, jobs.c.worker_id)
)

# Locked where the database locks rows, so that a worker cannot be found dead in the midst of its claim.
_ALIVE = (
    select(workers.c.id)
    .where(workers.c.id == bindparam("the_worker"), workers.c.stopped_at.is_(None))
    .with_for_update(read=True)
)


@cache
def _claim_statement(one_group: bool, one_experiment: bool, started_only: bool) -> ReturningUpdate[Any]:
    # pending -> running. The rows are picked, and locked where the database locks rows, in CTEs of their own: without
    # this fence a planner may update more rows than the limit allows. A first job that somebody else is just claiming
    # does not decide the group, or nothing would be left to claim in it.
    eligible = [IS_PENDING]
    if one_experiment:
        eligible.append(jobs.c.experiment == bindparam("the_experiment"))
    if started_only:
        eligible.append(WAS_STARTED)
    order = STARTED_ORDER if started_only else CLAIM_ORDER
    first = select(jobs.c.group_key).where(*eligible).order_by(*order).limit(1).with_for_update(skip_locked=True)
    first_group = select(first.cte("first_job").c.group_key).scalar_subquery()
    of_group = jobs.c.group_key == (bindparam("the_group") if one_group else first_group)
    picked = (
        select(jobs.c.id)
        .where(*eligible, of_group)
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


@cache
def _curve_statement(dialect: str) -> Insert:
    statement = conflict_insert(dialect, curves)
    return statement.on_conflict_do_update(index_elements=[curves.c.job_id], set_={"points": statement.excluded.points})


class Store(WorkerTable):
    """The job table. One instance may be used by several threads; each call is one transaction of its own.

    lease_seconds: how long a worker counts as alive, on other hosts, after its last heartbeat.
    clock: seconds since 1970; replaced in tests.

    Every method raises DatabaseError when the database is locked for too long, full or damaged.
    """

    def claim(
        self,
        worker_id: str,
        limit: int,
        *,
        group_key: str | None = None,
        started_only: bool = False,
        experiment: str | None = None,
    ) -> list[Job]:
        """Take up to `limit` pending jobs of one group: the group of the job that is first in the order of claims.

        The order is: higher priority, then jobs begun by somebody before, then older ones; the result is in this order.
        group_key, experiment: only such jobs. started_only: only jobs begun by somebody before.

        Returns no jobs when none is to be had. Raises WorkerStoppedError when the worker was stopped or found dead.
        """
        now = self.clock()
        statement = _claim_statement(group_key is not None, experiment is not None, started_only)
        values = {"the_worker": worker_id, "the_limit": limit, "now": now}
        values |= {} if group_key is None else {"the_group": group_key}
        values |= {} if experiment is None else {"the_experiment": experiment}
        with write_transaction(self.engine) as connection:
            if connection.scalar(_ALIVE, {"the_worker": worker_id}) is None:
                raise stopped_error(worker_id)
            claimed = [job_from_row(row) for row in connection.execute(statement, values).mappings()]
            claimed.sort(key=lambda job: (-job.priority, job.epoch == 1, job.id))
            add_events(
                connection,
                [
                    event_row(
                        job.id,
                        "claimed" if job.epoch == 1 else "resumed",
                        at=now,
                        epoch=job.epoch,
                        worker_id=worker_id,
                        detail=f"step {job.step}" if job.step else "",
                    )
                    for job in claimed
                ],
            )
        return claimed

    def commit_progress(self, claim: Claim, step: int, seconds: float, curve: Curve) -> None:
        """Record that a checkpoint after `step` optimiser steps lies on the disk; the job stays running.

        seconds: time in training since the last commit. curve: the whole curve up to `step`.

        Raises StaleClaimError, with nothing changed, when the job was taken over by somebody else.
        """
        points = curve_to_json(curve)
        with write_transaction(self.engine) as connection:
            _guarded(connection, _PROGRESS, claim, new_step=step, more_seconds=seconds)
            _put_curve(connection, claim.job_id, points)

    def finish(
        self, claim: Claim, result: Mapping[str, Any], seconds: float, curve: Curve, *, step: int | None = None
    ) -> None:
        """End a job as done, with its result (a JSON object) and its whole curve.

        seconds: time in training since the last commit. step: where a diverged job ended; else it is at its target.

        Raises StaleClaimError, with nothing changed, when the job was taken over by somebody else.
        """
        result_json = json.dumps(dict(result))
        points = curve_to_json(curve)
        now = self.clock()
        with write_transaction(self.engine) as connection:
            _guarded(connection, _FINISH, claim, new_step=step, more_seconds=seconds, the_result=result_json, now=now)
            _put_curve(connection, claim.job_id, points)
            add_events(connection, [_event(claim, "finished", now)])

    def fail(self, claim: Claim, error: str) -> None:
        """End a job as failed, with the reason and traceback of the exception.

        Raises StaleClaimError, with nothing changed, when the job was taken over by somebody else.
        """
        now = self.clock()
        with write_transaction(self.engine) as connection:
            _guarded(connection, _FAIL, claim, the_error=error, now=now)
            add_events(connection, [_event(claim, "failed", now, error)])

    def release(self, claims: Iterable[Claim]) -> list[Claim]:
        """Give jobs back, at no cost to them: a graceful stop.

        Returns the claims that were still valid. The others were taken over by somebody else and stay as they are.
        """
        now = self.clock()
        with write_transaction(self.engine) as connection:
            released = [claim for claim in claims if connection.execute(_RELEASE, _token(claim)).rowcount == 1]
            add_events(connection, [_event(claim, "released", now) for claim in released])
        return released

    def retry_failed(self, experiment: str | None = None) -> int:
        """Let failed jobs (of one experiment) be claimed again, from their last checkpoint. Returns how many."""
        now = self.clock()
        statement = _RETRY if experiment is None else _RETRY.where(jobs.c.experiment == experiment)
        with write_transaction(self.engine) as connection:
            retried = sorted((row.id, row.epoch) for row in connection.execute(statement))
            add_events(connection, [event_row(job_id, "retried", at=now, epoch=epoch) for job_id, epoch in retried])
        return len(retried)


def _token(claim: Claim) -> dict[str, Any]:
    return {"the_job": claim.job_id, "the_worker": claim.worker_id, "the_epoch": claim.epoch}


def _event(claim: Claim, kind: str, at: float, detail: str = "") -> dict[str, Any]:
    return event_row(claim.job_id, kind, at=at, epoch=claim.epoch, worker_id=claim.worker_id, detail=detail)


def _guarded(connection: Connection, statement: Update, claim: Claim, **values: object) -> None:
    if connection.execute(statement, _token(claim) | values).rowcount != 1:
        raise StaleClaimError(
            f"job {claim.job_id} was taken over by another worker: claim {claim.epoch} of worker {claim.worker_id} "
            "is no longer valid"
        )


def _put_curve(connection: Connection, job_id: int, points: str) -> None:
    connection.execute(_curve_statement(connection.dialect.name), {"job_id": job_id, "points": points})
