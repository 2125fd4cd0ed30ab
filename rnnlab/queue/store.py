"""The store: jobs are claimed, carried on and ended. The whole interface of the queue is the class `Store`.

Each state change is one guarded statement in one transaction, with its transition beside it, and the event that records
it is written in the same transaction. A write about a running job goes through only while (job, worker, epoch) are
those of the last claim: a worker that was taken for dead, and comes back, can change nothing.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Double, Insert, Integer, bindparam, case, exists, select, update

from rnnlab.errors import StaleClaimError
from rnnlab.queue import claiming, finishing
from rnnlab.queue.claiming import Among
from rnnlab.queue.dialects import conflict_insert
from rnnlab.queue.job import Claim, Curve, Finish, Job, Status
from rnnlab.queue.operator_actions import Verbs
from rnnlab.queue.release import AS_WISHED, RETURNED, departing, departure_events
from rnnlab.queue.rows import add_events, curve_to_json, event_row, result_to_json, storable
from rnnlab.queue.tables import IS_CLAIMED, IS_LAST_CLAIM, curves, events, jobs
from rnnlab.queue.transactions import write
from rnnlab.queue.workers import stopped_error

MAX_FAILURES = 2  # so many exceptions make a job failed

_STEP = bindparam("new_step", type_=Integer)
_SECONDS = bindparam("new_seconds", type_=Double)

# running -> running. The step never goes back: a job that lost its checkpoint makes progress only past its old mark.
# Nothing is added up here, so that a commit whose answer was lost may be repeated.
_PROGRESS = (
    update(jobs)
    .where(IS_CLAIMED)
    .values(
        step=case((jobs.c.step < _STEP, _STEP), else_=jobs.c.step),
        deaths=case((jobs.c.step < _STEP, 0), else_=jobs.c.deaths),
        seconds=_SECONDS,
    )
)

# running -> pending, or failed when the budget is used up, or what is wished
_FAIL = (
    update(jobs)
    .where(IS_CLAIMED)
    .values(
        failures=jobs.c.failures + 1, error=bindparam("the_error"), **departing(jobs.c.failures + 1 >= MAX_FAILURES)
    )
    .returning(*RETURNED)
)

# The same, carried out although its answer was lost.
_HAS_FAILED = select(jobs.c.status).where(
    IS_LAST_CLAIM,
    exists().where(
        events.c.job_id == jobs.c.id,
        events.c.epoch == jobs.c.epoch,
        events.c.kind.in_(("excepted", "failed")),
        events.c.detail == bindparam("the_error"),
    ),
)

# running -> pending, or what is wished
_RELEASE = update(jobs).where(IS_CLAIMED).values(preemptions=jobs.c.preemptions + 1, **departing()).returning(*RETURNED)

# running -> paused, cancelled
_GRANT = update(jobs).where(IS_CLAIMED, jobs.c.wish.is_not(None)).values(**departing()).returning(jobs.c.status)
_WAS_GRANTED = select(jobs.c.status).where(
    IS_LAST_CLAIM, jobs.c.status.in_((Status.PAUSED.value, Status.CANCELLED.value))
)


@cache
def _curve_statement(dialect: str) -> Insert:
    statement = conflict_insert(dialect, curves)
    return statement.on_conflict_do_update(index_elements=[curves.c.job_id], set_={"points": statement.excluded.points})


class Store(Verbs):
    """The job table. One instance may be used by several threads; each call is one transaction of its own.

    lease_seconds: how long a worker counts as alive, on other hosts, after its last heartbeat.
    clock: seconds since 1970; replaced in tests.

    Every method raises DatabaseError when the database is locked for too long, full, damaged or out of reach. Out of
    reach, a change may have been carried out all the same: `held_by` and `job` tell.
    """

    def claim(
        self,
        worker_id: str,
        limit: int,
        *,
        group_key: str | None = None,
        among: Among = Among.UNSUSPECTED,
        experiment: str | None = None,
    ) -> list[Job]:
        """Take up to `limit` pending jobs of one group: the group of the job that is first in the order of claims.

        The order is: higher priority, then jobs begun by somebody before, then older ones; the result is in this order.
        group_key, experiment: only such jobs. among: those under suspicion are to be claimed one at a time, by a worker
        that holds nothing else.

        Returns no jobs when none is to be had. Raises WorkerStoppedError when the worker was stopped or found dead.
        """
        values: dict[str, Any] = {"the_worker": worker_id, "the_limit": limit, "now": self.clock()}
        values |= {} if group_key is None else {"the_group": group_key}
        values |= {} if experiment is None else {"the_experiment": experiment}

        def body(connection: Connection) -> list[Job]:
            claimed = claiming.claim(connection, values, among)
            if not claimed and connection.scalar(claiming.IS_ALIVE, {"the_worker": worker_id}) is None:
                raise stopped_error(worker_id)
            return sorted(claimed, key=lambda job: (-job.priority, job.epoch == 1, job.id))

        return write(self.engine, body, one_statement=True)

    def commit_progress(self, claim: Claim, step: int, seconds: float, curve: Curve) -> None:
        """Record that a checkpoint after `step` optimiser steps lies on the disk; the job stays running.

        seconds: time in training so far, that of earlier claims included. curve: the whole curve up to `step`.

        Raises StaleClaimError, with nothing changed, when the job was taken over by somebody else.
        """
        if self.commit_progress_many([(claim, step, seconds, curve)]):
            raise _stale(claim)

    def commit_progress_many(self, items: Iterable[tuple[Claim, int, float, Curve]]) -> list[Claim]:
        """`commit_progress` of a whole cohort, in one transaction: (claim, step, seconds, curve) of each job.

        Returns the claims that are not valid any more; their jobs stay as they are, the others' progress is recorded.
        """
        # Always in the same order, so that no two transactions wait for each other.
        ordered = sorted(items, key=lambda item: item[0].job_id)
        points = [curve_to_json(curve) for _, _, _, curve in ordered]

        def body(connection: Connection) -> list[Claim]:
            stale = []
            for (claim, step, seconds, _), curve_points in zip(ordered, points, strict=True):
                values = _token(claim) | {"new_step": step, "new_seconds": seconds}
                if connection.execute(_PROGRESS, values).rowcount == 1:
                    _put_curve(connection, claim.job_id, curve_points)
                else:
                    stale.append(claim)
            return stale

        return write(self.engine, body)

    def finish(
        self, claim: Claim, result: Mapping[str, Any], seconds: float, curve: Curve, *, step: int | None = None
    ) -> None:
        """End a job as done, with its result (a JSON object of finite numbers) and its whole curve.

        seconds: time in training, that of earlier claims included. step: where a diverged job ended; else it is at its
        target. Finishing twice by the same claim is finishing once: the answer to the first call may have been lost.

        Raises StaleClaimError, with nothing changed, when the job was taken over by somebody else.
        """
        if self.finish_many([Finish(claim, result, seconds, curve, step)]):
            raise _stale(claim)

    def finish_many(self, items: Iterable[Finish]) -> list[Claim]:
        """`finish` of several jobs in one transaction: the disk is waited for once.

        Returns the claims that are not valid any more; their jobs stay as they are, the others are done.
        """
        now = self.clock()
        ordered = sorted(items, key=lambda item: item.claim.job_id)
        written = [(result_to_json(item.result), curve_to_json(item.curve)) for item in ordered]

        def body(connection: Connection) -> list[Claim]:
            stale = []
            for item, (result, points) in zip(ordered, written, strict=True):
                values = {"new_step": item.step, "new_seconds": item.seconds, "the_result": result, "now": now}
                if not finishing.finish(connection, _token(item.claim) | values | {"the_points": points}):
                    stale.append(item.claim)
            return stale

        return write(self.engine, body, one_statement=len(ordered) == 1)

    def fail(self, claim: Claim, error: str) -> Status:
        """Record an exception, with its reason and traceback: the job is pending again, or failed at MAX_FAILURES.

        Returns where the job stands now; PAUSED or CANCELLED when an operator wished so. Failing twice by the same
        claim is failing once: the answer to the first call may have been lost.

        Raises StaleClaimError, with nothing changed, when the job was taken over by somebody else.
        """
        now = self.clock()
        values = _token(claim) | {"the_error": storable(error), "now": now}

        def body(connection: Connection) -> Status:
            left = connection.execute(_FAIL, values).all()
            if not left:
                status = connection.scalar(_HAS_FAILED, values)
                if status is None:
                    raise _stale(claim)
                return Status(status)
            add_events(connection, departure_events(left, "excepted", at=now, detail=error, failed=error))
            return Status(left[0].status)

        return write(self.engine, body)

    def release(self, claims: Iterable[Claim]) -> list[Claim]:
        """Give jobs back, at no cost to them: a graceful stop. They are pending, or what an operator wished.

        Returns the claims that were still valid. The others were taken over by somebody else and stay as they are.
        """
        now = self.clock()
        given = list(claims)

        def body(connection: Connection) -> list[Claim]:
            released = set()
            for claim in sorted(given, key=lambda claim: claim.job_id):
                left = connection.execute(_RELEASE, _token(claim) | {"now": now}).all()
                add_events(connection, departure_events(left, "released", at=now))
                released.update([claim] if left else [])
            return [claim for claim in given if claim in released]

        return write(self.engine, body)

    def grant(self, claim: Claim) -> Status | None:
        """Pause or cancel a running job as its operator wishes, after its checkpoint was written and committed.

        Returns PAUSED or CANCELLED; None when the wish was taken back meanwhile, and the job goes on.

        Raises StaleClaimError, with nothing changed, when the job was taken over by somebody else.
        """
        now = self.clock()

        def body(connection: Connection) -> Status | None:
            status = connection.scalar(_GRANT, _token(claim) | {"now": now})
            if status is not None:
                add_events(connection, [_event(claim, status, now, AS_WISHED)])
                return Status(status)
            status = connection.scalar(_WAS_GRANTED, _token(claim))  # by a call whose answer was lost
            if status is not None:
                return Status(status)
            if connection.scalar(select(jobs.c.id).where(IS_CLAIMED), _token(claim)) is None:
                raise _stale(claim)
            return None

        return write(self.engine, body)


def _token(claim: Claim) -> dict[str, Any]:
    return {"the_job": claim.job_id, "the_worker": claim.worker_id, "the_epoch": claim.epoch}


def _event(claim: Claim, kind: str, at: float, detail: str = "") -> dict[str, Any]:
    return event_row(claim.job_id, kind, at=at, epoch=claim.epoch, worker_id=claim.worker_id, detail=detail)


def _stale(claim: Claim) -> StaleClaimError:
    return StaleClaimError(
        f"job {claim.job_id} was taken over by another worker: claim {claim.epoch} of worker {claim.worker_id} "
        "is no longer valid"
    )


def _put_curve(connection: Connection, job_id: int, points: str) -> None:
    connection.execute(_curve_statement(connection.dialect.name), {"job_id": job_id, "points": points})
