"""The store: it claims, updates and ends jobs. The class `Store` is the whole interface of the queue.

Each state change is one guarded statement in one transaction, with its transition in a comment above it. The event that
records it is written in the same transaction. A write about a running job succeeds only while (job, worker, epoch) are
those of the last claim: a worker that was declared dead and comes back cannot change anything.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import Connection, Double, Insert, Integer, bindparam, case, exists, select, update

from rnnlab.errors import StaleClaimError
from rnnlab.queue import claim_statements, finish_statements
from rnnlab.queue.claim_statements import Among
from rnnlab.queue.dialects import conflict_insert
from rnnlab.queue.job import Claim, Curve, Finish, Job, Status
from rnnlab.queue.operator_actions import OperatorActions
from rnnlab.queue.release import ON_REQUEST, RETURNED, release_events, release_values
from rnnlab.queue.rows import add_events, curve_to_json, event_row, result_to_json, storable
from rnnlab.queue.tables import IS_CLAIMED, IS_LAST_CLAIM, curves, events, jobs
from rnnlab.queue.transactions import write
from rnnlab.queue.workers import stopped_error

MAX_FAILURES = 2  # exceptions after which a job is failed

_STEP = bindparam("new_step", type_=Integer)
_SECONDS = bindparam("new_seconds", type_=Double)

# running -> running. The step never decreases: a job that lost its checkpoint makes progress only beyond its old step.
# No value is incremented, so that a commit whose answer was lost can be repeated.
_PROGRESS = (
    update(jobs)
    .where(IS_CLAIMED)
    .values(
        step=case((jobs.c.step < _STEP, _STEP), else_=jobs.c.step),
        deaths=case((jobs.c.step < _STEP, 0), else_=jobs.c.deaths),
        seconds=_SECONDS,
    )
)

# running -> pending, or failed if the budget is used up, or paused or cancelled on request
_FAIL = (
    update(jobs)
    .where(IS_CLAIMED)
    .values(
        failures=jobs.c.failures + 1,
        error=bindparam("the_error"),
        **release_values(jobs.c.failures + 1 >= MAX_FAILURES),
    )
    .returning(*RETURNED)
)

# Whether an earlier call did this but its answer was lost.
_HAS_FAILED = select(jobs.c.status).where(
    IS_LAST_CLAIM,
    exists().where(
        events.c.job_id == jobs.c.id,
        events.c.epoch == jobs.c.epoch,
        events.c.kind.in_(("excepted", "failed")),
        events.c.detail == bindparam("the_error"),
    ),
)

# running -> pending, or paused or cancelled on request
_RELEASE = (
    update(jobs).where(IS_CLAIMED).values(preemptions=jobs.c.preemptions + 1, **release_values()).returning(*RETURNED)
)

# running -> paused, cancelled
_APPLY_REQUEST = (
    update(jobs).where(IS_CLAIMED, jobs.c.wish.is_not(None)).values(**release_values()).returning(jobs.c.status)
)
_WAS_APPLIED = select(jobs.c.status).where(
    IS_LAST_CLAIM, jobs.c.status.in_((Status.PAUSED.value, Status.CANCELLED.value))
)


@cache
def _curve_statement(dialect: str) -> Insert:
    statement = conflict_insert(dialect, curves)
    return statement.on_conflict_do_update(index_elements=[curves.c.job_id], set_={"points": statement.excluded.points})


class Store(OperatorActions):
    """The job table. Several threads may use one instance; each call is one transaction.

    lease_seconds: how long other hosts consider a worker alive after its last heartbeat.
    clock: seconds since 1970; replaced in tests.

    Every method raises DatabaseError if the database is locked for too long, full, damaged or cannot be reached. If it
    cannot be reached, the change may have been made nevertheless: `held_by` and `job` show it.
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
        """Claim up to `limit` pending jobs of one group: the group of the first job in the order of claims.

        The order is: higher priority, then jobs that were started before, then older jobs; the result has this order.
        group_key, experiment: claim only such jobs. among: which jobs are eligible; a suspected job must be claimed
        alone, by a worker that holds no other job.

        Returns an empty list if no job is eligible. Raises WorkerStoppedError if the worker was stopped or found dead.
        """
        values: dict[str, Any] = {"the_worker": worker_id, "the_limit": limit, "now": self.clock()}
        values |= {} if group_key is None else {"the_group": group_key}
        values |= {} if experiment is None else {"the_experiment": experiment}

        def body(connection: Connection) -> list[Job]:
            claimed = claim_statements.claim(connection, values, among)
            if not claimed and connection.scalar(claim_statements.IS_ALIVE, {"the_worker": worker_id}) is None:
                raise stopped_error(worker_id)
            return sorted(claimed, key=lambda job: (-job.priority, job.epoch == 1, job.id))

        return write(self.engine, body, one_statement=True)

    def commit_progress(self, claim: Claim, step: int, seconds: float, curve: Curve) -> None:
        """Record that a checkpoint after `step` optimizer steps is on the disk; the job stays running.

        seconds: time in training so far, including earlier claims. curve: the whole curve up to `step`.

        Raises StaleClaimError and changes nothing if another worker has taken the job over.
        """
        if self.commit_progress_many([(claim, step, seconds, curve)]):
            raise _stale(claim)

    def commit_progress_many(self, items: Iterable[tuple[Claim, int, float, Curve]]) -> list[Claim]:
        """`commit_progress` for a whole cohort in one transaction: (claim, step, seconds, curve) of each job.

        Returns the claims that are no longer valid. Their jobs stay unchanged; the progress of the others is recorded.
        """
        # Always in the same order, so that two transactions cannot deadlock.
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
        """Finish a job as done, with its result (a JSON object of finite numbers) and its whole curve.

        seconds: time in training, including earlier claims. step: the step at which a diverged job ended; None: its
        target. A second call with the same claim changes nothing: the answer to the first call may have been lost.

        Raises StaleClaimError and changes nothing if another worker has taken the job over.
        """
        if self.finish_many([Finish(claim, result, seconds, curve, step)]):
            raise _stale(claim)

    def finish_many(self, items: Iterable[Finish]) -> list[Claim]:
        """`finish` several jobs in one transaction, which waits for the disk only once.

        Returns the claims that are no longer valid. Their jobs stay unchanged; the others are done.
        """
        now = self.clock()
        ordered = sorted(items, key=lambda item: item.claim.job_id)
        written = [(result_to_json(item.result), curve_to_json(item.curve)) for item in ordered]

        def body(connection: Connection) -> list[Claim]:
            stale = []
            for item, (result, points) in zip(ordered, written, strict=True):
                values = {"new_step": item.step, "new_seconds": item.seconds, "the_result": result, "now": now}
                if not finish_statements.finish(connection, _token(item.claim) | values | {"the_points": points}):
                    stale.append(item.claim)
            return stale

        return write(self.engine, body, one_statement=len(ordered) == 1)

    def fail(self, claim: Claim, error: str) -> Status:
        """Record an exception with its traceback: the job is pending again, or failed after MAX_FAILURES exceptions.

        Returns the new status, which is PAUSED or CANCELLED if an operator requested it. A second call with the same
        claim changes nothing: the answer to the first call may have been lost.

        Raises StaleClaimError and changes nothing if another worker has taken the job over.
        """
        now = self.clock()
        values = _token(claim) | {"the_error": storable(error), "now": now}

        def body(connection: Connection) -> Status:
            released = connection.execute(_FAIL, values).all()
            if not released:
                status = connection.scalar(_HAS_FAILED, values)
                if status is None:
                    raise _stale(claim)
                return Status(status)
            add_events(connection, release_events(released, "excepted", at=now, detail=error, failed=error))
            return Status(released[0].status)

        return write(self.engine, body)

    def release(self, claims: Iterable[Claim]) -> list[Claim]:
        """Return jobs to the queue, at no cost to them: a graceful stop. A request of an operator is applied.

        Returns the claims that were still valid. The other jobs belong to other workers and stay unchanged.
        """
        now = self.clock()
        given = list(claims)

        def body(connection: Connection) -> list[Claim]:
            released = set()
            for claim in sorted(given, key=lambda claim: claim.job_id):
                rows = connection.execute(_RELEASE, _token(claim) | {"now": now}).all()
                add_events(connection, release_events(rows, "released", at=now))
                released.update([claim] if rows else [])
            return [claim for claim in given if claim in released]

        return write(self.engine, body)

    def apply_request(self, claim: Claim) -> Status | None:
        """Pause or cancel a running job as an operator has requested, after its checkpoint was committed.

        Returns PAUSED or CANCELLED; None if the request was withdrawn, and the job continues.

        Raises StaleClaimError and changes nothing if another worker has taken the job over.
        """
        now = self.clock()

        def body(connection: Connection) -> Status | None:
            status = connection.scalar(_APPLY_REQUEST, _token(claim) | {"now": now})
            if status is not None:
                add_events(connection, [_event(claim, status, now, ON_REQUEST)])
                return Status(status)
            status = connection.scalar(_WAS_APPLIED, _token(claim))  # by an earlier call whose answer was lost
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
