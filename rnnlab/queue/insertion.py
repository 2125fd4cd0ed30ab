"""Adding experiments and jobs. Adding the same jobs again, even from two processes at once, changes nothing."""

import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, and_, literal_column, select

from rnnlab.errors import ExperimentChangedError
from rnnlab.queue.dialects import conflict_insert
from rnnlab.queue.job import NewJob, Status
from rnnlab.queue.reader import Reader
from rnnlab.queue.rows import add_events, event_row, result_to_json
from rnnlab.queue.tables import experiments, jobs
from rnnlab.queue.transactions import write_transaction

_CHUNK = 10_000  # rows in one call to the database

# Values that all new rows share are part of the statement: with a parameter for each, adding takes twice as long.
_NEVER_CLAIMED: dict[str, ColumnElement[Any]] = {
    name: literal_column("0") for name in ("epoch", "deaths", "failures", "preemptions")
}
_WAITING = {**_NEVER_CLAIMED, "status": literal_column("'pending'")}
_UNTOUCHED = {**_WAITING, "step": literal_column("0"), "seconds": literal_column("0.0")}


class Enqueuer(Reader):
    """The part of the store that adds jobs."""

    def __init__(self, engine: Engine, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(engine)
        self.clock = clock

    def add_jobs(
        self,
        experiment: str,
        spec_json: str,
        round_name: str,
        new_jobs: Iterable[NewJob],
        *,
        instead_of: str | None = None,
    ) -> int:
        """Store the experiment and add the jobs that are not in the round yet, all in one transaction.

        instead_of: the spec that the caller read from the table and compared with the new one; None: there was none.

        Returns the number of jobs added. Raises ExperimentChangedError if the table has neither that spec nor the new
        one, and DatabaseError if the database cannot be written. In both cases nothing is added.
        """
        now = self.clock()
        rows = (_row(experiment, round_name, job, now) for job in new_jobs)
        # (nothing) -> pending
        return self._add(experiment, spec_json, instead_of, rows, "added", _UNTOUCHED)

    def add_begun(
        self,
        experiment: str,
        spec_json: str,
        round_name: str,
        items: Iterable[tuple[NewJob, int, float]],
        *,
        instead_of: str | None = None,
    ) -> int:
        """`add_jobs` for jobs that continue where others ended: (job, step, seconds in training up to that step).

        They count like jobs that were never interrupted: steps divided by seconds gives their speed.
        """
        now = self.clock()
        rows = (
            _row(experiment, round_name, job, now) | {"step": step, "seconds": seconds} for job, step, seconds in items
        )
        # (nothing) -> pending
        return self._add(experiment, spec_json, instead_of, rows, "added", _WAITING)

    def add_finished(
        self,
        experiment: str,
        spec_json: str,
        round_name: str,
        items: Iterable[tuple[NewJob, Mapping[str, Any], float]],
        *,
        instead_of: str | None = None,
    ) -> int:
        """`add_jobs` for jobs that were computed elsewhere: (job, result, seconds in training).

        A job that is already in the round stays unchanged, whatever its status is.
        """
        now = self.clock()
        rows = (
            _row(experiment, round_name, job, now)
            | {"status": Status.DONE.value, "step": job.target_steps, "seconds": seconds, "finished_at": now}
            | {"result": result_to_json(result)}
            for job, result, seconds in items
        )
        # (nothing) -> done
        return self._add(experiment, spec_json, instead_of, rows, "imported", _NEVER_CLAIMED)

    def _put_experiment(self, connection: Connection, name: str, spec_json: str, instead_of: str | None) -> None:
        now = self.clock()
        statement = conflict_insert(connection.dialect.name, experiments).values(
            name=name, spec=spec_json, created_at=now, updated_at=now
        )
        new = statement.excluded
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=[experiments.c.name],
                set_={"spec": new.spec, "updated_at": new.updated_at},
                where=and_(experiments.c.spec == instead_of, experiments.c.spec != new.spec),
            )
        )
        # The second of two processes waits for the first one here, and then reads what that one stored.
        if connection.scalar(select(experiments.c.spec).where(experiments.c.name == name)) != spec_json:
            raise ExperimentChangedError(
                f"another command changed experiment {name} at the same time: run the same command again"
            )

    def _add(
        self,
        experiment: str,
        spec_json: str,
        instead_of: str | None,
        rows: Iterable[dict[str, Any]],
        event_kind: str,
        same_for_all: Mapping[str, ColumnElement[Any]],
    ) -> int:
        remaining = iter(rows)
        added = 0
        with write_transaction(self.engine) as connection:
            self._put_experiment(connection, experiment, spec_json, instead_of)
            insert = conflict_insert(connection.dialect.name, jobs).values(dict(same_for_all))
            statement = insert.on_conflict_do_nothing().returning(jobs.c.id)
            while chunk := list(islice(remaining, _CHUNK)):
                ids = sorted(connection.scalars(statement, chunk))
                at = chunk[0]["created_at"]
                add_events(connection, [event_row(job_id, event_kind, at=at, epoch=0) for job_id in ids])
                added += len(ids)
        return added


def _row(experiment: str, round_name: str, job: NewJob, now: float) -> dict[str, Any]:
    assert job.target_steps >= 1
    return {
        "experiment": experiment,
        "round": round_name,
        "config_hash": job.config_hash,
        "payload": job.payload,
        "group_key": job.group_key,
        "target_steps": job.target_steps,
        "priority": job.priority,
        "created_at": now,
    }
