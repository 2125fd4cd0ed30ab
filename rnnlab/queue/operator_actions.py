"""What an operator can do with jobs. Nothing is deleted, and every change adds an event.

A running job only gets a request, which the column `wish` holds. Its worker reads the requests (`Reader.requests`),
writes a checkpoint and applies them (`Store.apply_request`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from rnnlab.queue.job import Request, Status
from rnnlab.queue.rows import IN_CHUNK, MAX_ID, add_events, event_row
from rnnlab.queue.tables import jobs
from rnnlab.queue.transactions import write
from rnnlab.queue.workers import WorkerTable


class Outcome(StrEnum):
    """What an action did to one job, in words for the operator."""

    PAUSED = "paused"
    PAUSING = "running, will be paused after its next checkpoint"
    CANCELLED = "cancelled"
    CANCELLING = "running, will be cancelled after its next checkpoint"
    PENDING = "pending again"
    CONTINUES = "running, continues"
    PRIORITY_SET = "has the new priority"
    # The action does not apply: the status of the job.
    IS_PENDING = "left as it is: pending"
    IS_RUNNING = "left as it is: running"
    IS_PAUSED = "left as it is: paused"
    IS_DONE = "left as it is: done"
    IS_FAILED = "left as it is: failed"
    IS_CANCELLED = "left as it is: cancelled"
    UNKNOWN = "no such job"


@dataclass(frozen=True)
class _Change:
    """New values of columns, the event that records them, and the outcome for the operator."""

    values: tuple[tuple[str, object], ...]
    event: str
    outcome: Outcome
    detail: str = ""


_State = tuple[Status, Request | None]  # of a job, before the action
_Rules = dict[_State, _Change]
_Rule = Callable[[Row[Any]], _Change | None]  # from a row with _COLUMNS; None: do not change the job

_COLUMNS = (jobs.c.id, jobs.c.status, jobs.c.wish, jobs.c.epoch, jobs.c.priority)
_ALREADY_REQUESTED: dict[_State, Outcome] = {
    (Status.RUNNING, Request.PAUSE): Outcome.PAUSING,
    (Status.RUNNING, Request.CANCEL): Outcome.CANCELLING,
}


class OperatorActions(WorkerTable):
    """The part of the store for operators. Every method raises DatabaseError if the database cannot be written.

    Each method returns the outcome for each named job; ids may repeat and need not exist.
    """

    def pause(self, job_ids: Iterable[int]) -> dict[int, Outcome]:
        """Pause jobs. A running job is paused after its worker has written a checkpoint."""
        at_once = _Change((("status", Status.PAUSED.value),), "paused", Outcome.PAUSED)
        request = _Change((("wish", Request.PAUSE.value),), "asked", Outcome.PAUSING, "to pause")
        rules: _Rules = {
            (Status.PENDING, None): at_once,  # pending -> paused
            (Status.RUNNING, None): request,  # running -> running, with a request
        }
        return self._apply(select(*_COLUMNS), job_ids, _by_state(rules))

    def resume(self, job_ids: Iterable[int]) -> dict[int, Outcome]:
        """Undo `pause`."""
        again = _Change((("status", Status.PENDING.value),), "unpaused", Outcome.PENDING)
        withdrawn = _Change((("wish", None),), "unasked", Outcome.CONTINUES)
        rules: _Rules = {
            (Status.PAUSED, None): again,  # paused -> pending
            (Status.RUNNING, Request.PAUSE): withdrawn,  # running -> running, without the request
        }
        return self._apply(select(*_COLUMNS), job_ids, _by_state(rules))

    def cancel(self, job_ids: Iterable[int]) -> dict[int, Outcome]:
        """End jobs without a result. A running job is cancelled after its worker has written a checkpoint."""
        values = (("status", Status.CANCELLED.value), ("finished_at", self.clock()))
        at_once = _Change(values, "cancelled", Outcome.CANCELLED)
        request = _Change((("wish", Request.CANCEL.value),), "asked", Outcome.CANCELLING, "to cancel")
        rules: _Rules = {
            (Status.PENDING, None): at_once,  # pending -> cancelled
            (Status.PAUSED, None): at_once,  # paused -> cancelled
            (Status.FAILED, None): at_once,  # failed -> cancelled
            (Status.RUNNING, None): request,  # running -> running, with a request
            (Status.RUNNING, Request.PAUSE): request,  # the same; it cannot be undone
        }
        return self._apply(select(*_COLUMNS), job_ids, _by_state(rules))

    def retry(self, job_ids: Iterable[int] | None = None, *, experiment: str | None = None) -> dict[int, Outcome]:
        """Make failed jobs pending again; they resume from their last checkpoints, with new budgets.

        job_ids: these jobs, including cancelled ones; None: all failed jobs. experiment: only jobs of this experiment.
        """
        cleared = (("deaths", 0), ("failures", 0), ("error", None), ("finished_at", None))
        again = _Change((("status", Status.PENDING.value), *cleared), "retried", Outcome.PENDING)
        query = select(*_COLUMNS)
        if experiment is not None:
            query = query.where(jobs.c.experiment == experiment)
        if job_ids is None:
            query = query.where(jobs.c.status == Status.FAILED.value)
        rules: _Rules = {
            (Status.FAILED, None): again,  # failed -> pending
            (Status.CANCELLED, None): again,  # cancelled -> pending
        }
        return self._apply(query, job_ids, _by_state(rules))

    def retry_failed(self, experiment: str | None = None) -> int:
        """`retry` all failed jobs (of one experiment). Returns their number."""
        return len(self.retry(experiment=experiment))

    def set_priority(self, job_ids: Iterable[int], priority: int) -> dict[int, Outcome]:
        """Set the priority, -2**31 <= priority < 2**31: higher is claimed first. It affects the next claim of a job."""

        # no change of status
        def rule(row: Row[Any]) -> _Change | None:
            if row.status == Status.DONE or row.priority == priority:
                return None
            detail = f"{row.priority} -> {priority}"
            return _Change((("priority", priority),), "reprioritised", Outcome.PRIORITY_SET, detail)

        return self._apply(select(*_COLUMNS), job_ids, rule)

    def _apply(self, query: Select[Any], job_ids: Iterable[int] | None, rule: _Rule) -> dict[int, Outcome]:
        """Lock the jobs of the query (all, or the named ones) and apply the rule to each, in one transaction."""
        given = None if job_ids is None else list(job_ids)
        now = self.clock()

        def body(connection: Connection) -> dict[int, Outcome]:
            outcomes: dict[int, Outcome] = {}
            changes: dict[tuple[_State, _Change], list[Row[Any]]] = {}
            for row in _locked(connection, query, given):
                state = (Status(row.status), None if row.wish is None else Request(row.wish))
                change = rule(row)
                if change is None:
                    outcomes[row.id] = _ALREADY_REQUESTED.get(state) or Outcome(f"left as it is: {state[0]}")
                else:
                    outcomes[row.id] = change.outcome
                    changes.setdefault((state, change), []).append(row)
            for (state, change), rows in changes.items():
                _change(connection, state, change, rows, now)
            named = sorted(outcomes) if given is None else given
            return {job_id: outcomes.get(job_id, Outcome.UNKNOWN) for job_id in named}

        return write(self.engine, body)


def _by_state(rules: _Rules) -> _Rule:
    return lambda row: rules.get((row.status, row.wish))


def _locked(connection: Connection, query: Select[Any], job_ids: list[int] | None) -> Iterator[Row[Any]]:
    """The rows in the order of their ids, so that two transactions cannot deadlock."""
    query = query.order_by(jobs.c.id).with_for_update()
    if job_ids is None:
        yield from connection.execute(query).all()
        return
    ids = sorted({job_id for job_id in job_ids if 0 < job_id <= MAX_ID})
    for start in range(0, len(ids), IN_CHUNK):
        yield from connection.execute(query.where(jobs.c.id.in_(ids[start : start + IN_CHUNK]))).all()


def _change(connection: Connection, state: _State, change: _Change, rows: list[Row[Any]], now: float) -> None:
    """One transition of several jobs, guarded by their previous state, with its events."""
    status, request = state
    has_request = jobs.c.wish.is_(None) if request is None else jobs.c.wish == request.value
    guard = (jobs.c.status == status.value, has_request)
    statement = update(jobs).where(*guard).values(dict(change.values))
    for start in range(0, len(rows), IN_CHUNK):
        ids = [row.id for row in rows[start : start + IN_CHUNK]]
        changed = connection.execute(statement.where(jobs.c.id.in_(ids))).rowcount
        assert changed == len(ids), "the rows are locked"
    kind, detail = change.event, change.detail
    add_events(connection, [event_row(row.id, kind, at=now, epoch=row.epoch, detail=detail) for row in rows])
