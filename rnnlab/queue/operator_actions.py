"""What an operator may do to jobs. Nothing is erased, every change is an event, and a running job is only asked for.

A worker looks at the wishes about its jobs (`Reader.wishes`), writes a checkpoint and grants them (`Store.grant`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, select, update

from rnnlab.queue.job import Status, Wish
from rnnlab.queue.rows import IN_CHUNK, MAX_ID, add_events, event_row
from rnnlab.queue.tables import jobs
from rnnlab.queue.transactions import write
from rnnlab.queue.workers import WorkerTable


class Outcome(StrEnum):
    """What a verb has done to one job, in words."""

    PAUSED = "paused"
    PAUSING = "running, will be paused after its next checkpoint"
    CANCELLED = "cancelled"
    CANCELLING = "running, will be cancelled after its next checkpoint"
    PENDING = "pending again"
    GOES_ON = "running, goes on"
    PRIORITY_SET = "has the new priority"
    # Nothing was to be done: where the job stands.
    IS_PENDING = "left as it is: pending"
    IS_RUNNING = "left as it is: running"
    IS_PAUSED = "left as it is: paused"
    IS_DONE = "left as it is: done"
    IS_FAILED = "left as it is: failed"
    IS_CANCELLED = "left as it is: cancelled"
    UNKNOWN = "no such job"


@dataclass(frozen=True)
class _Change:
    """New values of columns, the event that records them, and what the operator is told."""

    values: tuple[tuple[str, object], ...]
    event: str
    outcome: Outcome
    detail: str = ""


_State = tuple[Status, Wish | None]  # of a job, before the verb
_Rules = dict[_State, _Change]
_Rule = Callable[[Row[Any]], _Change | None]  # from a row with _COLUMNS; None: leave the job as it is

_COLUMNS = (jobs.c.id, jobs.c.status, jobs.c.wish, jobs.c.epoch, jobs.c.priority)
_ALREADY_ASKED: dict[_State, Outcome] = {
    (Status.RUNNING, Wish.PAUSE): Outcome.PAUSING,
    (Status.RUNNING, Wish.CANCEL): Outcome.CANCELLING,
}


class Verbs(WorkerTable):
    """The part of the store for operators. Every method raises DatabaseError when the database cannot be written.

    Each returns what happened to each of the jobs that were named; the ids may repeat and need not exist.
    """

    def pause(self, job_ids: Iterable[int]) -> dict[int, Outcome]:
        """Keep jobs from being claimed; the running ones as soon as their workers have written a checkpoint."""
        at_once = _Change((("status", Status.PAUSED.value),), "paused", Outcome.PAUSED)
        asked = _Change((("wish", Wish.PAUSE.value),), "asked", Outcome.PAUSING, "to pause")
        rules: _Rules = {
            (Status.PENDING, None): at_once,  # pending -> paused
            (Status.RUNNING, None): asked,  # running -> running, with a wish
        }
        return self._apply(select(*_COLUMNS), job_ids, _by_state(rules))

    def resume(self, job_ids: Iterable[int]) -> dict[int, Outcome]:
        """Take `pause` back."""
        again = _Change((("status", Status.PENDING.value),), "unpaused", Outcome.PENDING)
        goes_on = _Change((("wish", None),), "unasked", Outcome.GOES_ON)
        rules: _Rules = {
            (Status.PAUSED, None): again,  # paused -> pending
            (Status.RUNNING, Wish.PAUSE): goes_on,  # running -> running, without the wish
        }
        return self._apply(select(*_COLUMNS), job_ids, _by_state(rules))

    def cancel(self, job_ids: Iterable[int]) -> dict[int, Outcome]:
        """End jobs without a result; the running ones as soon as their workers have written a checkpoint."""
        values = (("status", Status.CANCELLED.value), ("finished_at", self.clock()))
        at_once = _Change(values, "cancelled", Outcome.CANCELLED)
        asked = _Change((("wish", Wish.CANCEL.value),), "asked", Outcome.CANCELLING, "to cancel")
        rules: _Rules = {
            (Status.PENDING, None): at_once,  # pending -> cancelled
            (Status.PAUSED, None): at_once,  # paused -> cancelled
            (Status.FAILED, None): at_once,  # failed -> cancelled
            (Status.RUNNING, None): asked,  # running -> running, with a wish
            (Status.RUNNING, Wish.PAUSE): asked,  # the same, and it is the last word
        }
        return self._apply(select(*_COLUMNS), job_ids, _by_state(rules))

    def retry(self, job_ids: Iterable[int] | None = None, *, experiment: str | None = None) -> dict[int, Outcome]:
        """Let failed jobs be claimed again, from their last checkpoints and with new budgets.

        job_ids: these jobs, cancelled ones too; None: all failed ones. experiment: only jobs of this experiment.
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
        """`retry` of all failed jobs (of one experiment). Returns how many."""
        return len(self.retry(experiment=experiment))

    def set_priority(self, job_ids: Iterable[int], priority: int) -> dict[int, Outcome]:
        """Let jobs be claimed before those of lower priority, -2**31 <= priority < 2**31; a running one, next time."""

        # no change of status
        def rule(row: Row[Any]) -> _Change | None:
            if row.status == Status.DONE or row.priority == priority:
                return None
            detail = f"{row.priority} -> {priority}"
            return _Change((("priority", priority),), "reprioritised", Outcome.PRIORITY_SET, detail)

        return self._apply(select(*_COLUMNS), job_ids, rule)

    def _apply(self, query: Select[Any], job_ids: Iterable[int] | None, rule: _Rule) -> dict[int, Outcome]:
        """Lock the jobs of the query (all, or those named), and change each as the rule says, in one transaction."""
        asked = None if job_ids is None else list(job_ids)
        now = self.clock()

        def body(connection: Connection) -> dict[int, Outcome]:
            outcomes: dict[int, Outcome] = {}
            wanted: dict[tuple[_State, _Change], list[Row[Any]]] = {}
            for row in _locked(connection, query, asked):
                state = (Status(row.status), None if row.wish is None else Wish(row.wish))
                change = rule(row)
                if change is None:
                    outcomes[row.id] = _ALREADY_ASKED.get(state) or Outcome(f"left as it is: {state[0]}")
                else:
                    outcomes[row.id] = change.outcome
                    wanted.setdefault((state, change), []).append(row)
            for (state, change), rows in wanted.items():
                _change(connection, state, change, rows, now)
            named = sorted(outcomes) if asked is None else asked
            return {job_id: outcomes.get(job_id, Outcome.UNKNOWN) for job_id in named}

        return write(self.engine, body)


def _by_state(rules: _Rules) -> _Rule:
    return lambda row: rules.get((row.status, row.wish))


def _locked(connection: Connection, query: Select[Any], job_ids: list[int] | None) -> Iterator[Row[Any]]:
    """The rows, in the order of the ids: so that no two transactions wait for each other."""
    query = query.order_by(jobs.c.id).with_for_update()
    if job_ids is None:
        yield from connection.execute(query).all()
        return
    ids = sorted({job_id for job_id in job_ids if 0 < job_id <= MAX_ID})
    for start in range(0, len(ids), IN_CHUNK):
        yield from connection.execute(query.where(jobs.c.id.in_(ids[start : start + IN_CHUNK]))).all()


def _change(connection: Connection, state: _State, change: _Change, rows: list[Row[Any]], now: float) -> None:
    """One transition of several jobs: guarded by where they were, with its events."""
    status, wish = state
    guard = (jobs.c.status == status.value, jobs.c.wish.is_(None) if wish is None else jobs.c.wish == wish.value)
    statement = update(jobs).where(*guard).values(dict(change.values))
    for start in range(0, len(rows), IN_CHUNK):
        ids = [row.id for row in rows[start : start + IN_CHUNK]]
        changed = connection.execute(statement.where(jobs.c.id.in_(ids))).rowcount
        assert changed == len(ids), "the rows are locked"
    kind, detail = change.event, change.detail
    add_events(connection, [event_row(row.id, kind, at=now, epoch=row.epoch, detail=detail) for row in rows])
