"""Reading the job table. No method takes a write lock; all work on a database that was opened read-only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Select, case, func, or_, select

from rnnlab.queue.dialects import number_in
from rnnlab.queue.job import Claim, Curve, Event, Job, Request, Status, WorkerRecord
from rnnlab.queue.rows import MAX_ID, curve_from_json, event_from_row, job_from_row, worker_from_row
from rnnlab.queue.tables import (
    CLAIM_ORDER,
    IS_PENDING,
    IS_RUNNING,
    WAS_STARTED,
    curves,
    events,
    experiments,
    jobs,
    workers,
)
from rnnlab.queue.transactions import read_transaction

# In the order of a small index. Without it planners choose a larger index, and read every job if few are pending.
_PENDING = select(jobs.c.id).where(IS_PENDING).order_by(*CLAIM_ORDER)
_RUNNING_EXPERIMENTS = select(jobs.c.experiment).where(IS_RUNNING).order_by(jobs.c.worker_id)


@dataclass(frozen=True)
class Progress:
    """Sums over similar jobs of one round and group, for progress bars and estimates of the time left."""

    round: str
    group_key: str
    status: Status
    trained_here: bool  # whether a worker has claimed them; imported jobs were never claimed
    jobs: int  # number of jobs
    step: int  # optimizer steps committed, summed
    target_steps: int  # target steps, summed
    seconds: float  # time in training, summed


@dataclass(frozen=True)
class Improvement:
    """A finished job that was the best when it finished."""

    place: int  # its rank among the jobs of its experiment in the order of finishing, >= 1
    job_id: int
    value: float


@dataclass(frozen=True)
class Load:
    """Sums over the jobs whose last owner is one worker."""

    running: int = 0  # jobs that it holds
    step: int = 0  # optimizer steps committed, including those of earlier owners
    seconds: float = 0.0  # time in training, including that of earlier owners


class Reader:
    """The part of the store that reads. Every method raises DatabaseError if the database cannot be read."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def experiment_names(self) -> list[str]:
        """The names of the experiments in the database, sorted."""
        with read_transaction(self.engine) as connection:
            return list(connection.scalars(select(experiments.c.name).order_by(experiments.c.name)))

    def experiment(self, name: str) -> str | None:
        """The stored JSON of the experiment, or None."""
        with read_transaction(self.engine) as connection:
            return connection.scalar(select(experiments.c.spec).where(experiments.c.name == name))

    def counts(self, experiment: str | None = None) -> Mapping[tuple[str, str, Status], int]:
        """Number of jobs by (experiment, round, status), without combinations that have no jobs."""
        by = (jobs.c.experiment, jobs.c.round, jobs.c.status)
        query = _of_experiment(select(*by, func.count()).group_by(*by).order_by(*by), experiment)
        with read_transaction(self.engine) as connection:
            return {(name, round_name, Status(status)): n for name, round_name, status, n in connection.execute(query)}

    def statuses(self, experiment: str, round_name: str) -> dict[str, Status]:
        """The status of each job of a round, by config hash, to compare with an enumeration."""
        query = select(jobs.c.config_hash, jobs.c.status)
        query = query.where(jobs.c.experiment == experiment, jobs.c.round == round_name)
        with read_transaction(self.engine) as connection:
            return {config_hash: Status(status) for config_hash, status in connection.execute(query)}

    def pending_count(self, experiment: str | None = None, *, at_most: int | None = None) -> int:
        """Number of pending jobs. at_most: stop counting at this number; None: count all."""
        pending = _of_experiment(_PENDING, experiment).limit(at_most)
        with read_transaction(self.engine) as connection:
            return connection.scalar(select(func.count()).select_from(pending.subquery())) or 0

    def any_open(self, experiment: str | None = None) -> bool:
        """Whether any job is pending or running. This query is cheap.

        Paused jobs do not count, because they wait for an operator.
        """
        with read_transaction(self.engine) as connection:
            if connection.scalar(_of_experiment(_PENDING, experiment).limit(1)) is not None:
                return True
            return any(experiment in (None, name) for name in connection.scalars(_RUNNING_EXPERIMENTS))

    def progress(self, experiment: str) -> list[Progress]:
        """Sums by (round, group, status, whether they were trained here), in that order."""
        by = (jobs.c.round, jobs.c.group_key, jobs.c.status, WAS_STARTED)
        sums = (func.count(), func.sum(jobs.c.step), func.sum(jobs.c.target_steps), func.sum(jobs.c.seconds))
        query = select(*by, *sums).where(jobs.c.experiment == experiment).group_by(*by).order_by(*by)
        with read_transaction(self.engine) as connection:
            return [
                Progress(round_name, group_key, Status(status), bool(was_started), *sums_of_group)
                for round_name, group_key, status, was_started, *sums_of_group in connection.execute(query)
            ]

    def lowest(self, experiment: str, key: str, *, unless: str) -> tuple[Job, float] | None:
        """The finished job with the lowest number under `key` of its result, and that number; None if there is none.

        Jobs with a number under `unless` do not count. Both keys are identifiers; no result has any other key.
        """
        if not key.isidentifier():
            return None
        value = number_in(self.engine.dialect.name, jobs.c.result, key)
        query = (
            select(jobs.c.id, value.label("value"))
            .where(jobs.c.experiment == experiment, jobs.c.status == Status.DONE.value)
            .order_by("value", jobs.c.id)
        )
        with read_transaction(self.engine) as connection:
            # The database reads each result once. The first row that counts is usually among the first rows.
            for job_id, lowest in connection.execute(query):
                if lowest is None:
                    continue
                job = job_from_row(connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one())
                if not isinstance((job.result or {}).get(unless), int | float):
                    return job, float(lowest)
        return None

    def improvements(self, experiment: str, key: str, *, unless: str) -> list[Improvement]:
        """The finished jobs that had the lowest number under `key` when they finished, in the order of finishing.

        Jobs with a number under `unless` do not count. Both keys are identifiers; no result has any other key.
        """
        if not key.isidentifier():
            return []
        number, stop = (number_in(self.engine.dialect.name, jobs.c.result, name) for name in (key, unless))
        by_time = (jobs.c.finished_at, jobs.c.id)
        placed = (
            select(
                jobs.c.id,
                func.row_number().over(order_by=by_time).label("place"),
                case((stop.is_(None), number)).label("value"),
            )
            .where(jobs.c.experiment == experiment, jobs.c.status == Status.DONE.value)
            .subquery()
        )
        before = func.min(placed.c.value).over(order_by=placed.c.place, rows=(None, -1))
        marked = select(placed, before.label("before")).subquery()
        query = (
            select(marked.c.place, marked.c.id, marked.c.value)
            .where(marked.c.value.is_not(None), or_(marked.c.before.is_(None), marked.c.value < marked.c.before))
            .order_by(marked.c.place)
        )
        with read_transaction(self.engine) as connection:
            return [Improvement(place, job_id, float(value)) for place, job_id, value in connection.execute(query)]

    def failures(self, experiment: str, limit: int | None = None) -> list[tuple[int, str | None]]:
        """The failed jobs, at most `limit`, in the order of adding: the id of each and its last error."""
        query = select(jobs.c.id, jobs.c.error).order_by(jobs.c.id).limit(limit)
        query = query.where(jobs.c.experiment == experiment, jobs.c.status == Status.FAILED.value)
        with read_transaction(self.engine) as connection:
            return [(job_id, error) for job_id, error in connection.execute(query)]

    def loads(self) -> dict[str, Load]:
        """What the workers that have not stopped do and did, by worker id; those that had no job are left out."""
        is_running = func.sum(case((IS_RUNNING, 1), else_=0))
        of_living = jobs.c.worker_id.in_(select(workers.c.id).where(workers.c.stopped_at.is_(None)))
        sums = (is_running, func.sum(jobs.c.step), func.sum(jobs.c.seconds))
        query = select(jobs.c.worker_id, *sums).where(of_living).group_by(jobs.c.worker_id)
        with read_transaction(self.engine) as connection:
            return {worker_id: Load(*load) for worker_id, *load in connection.execute(query)}

    def job(self, job_id: int) -> Job | None:
        """One job, or None."""
        if not 0 < job_id <= MAX_ID:
            return None
        found = self._jobs(select(jobs).where(jobs.c.id == job_id))
        return found[0] if found else None

    def jobs(
        self, experiment: str | None = None, round_name: str | None = None, status: Status | None = None
    ) -> list[Job]:
        """Jobs in the order of adding, restricted to an experiment, a round, a status."""
        query = _of_experiment(select(jobs).order_by(jobs.c.id), experiment)
        if round_name is not None:
            query = query.where(jobs.c.round == round_name)
        if status is not None:
            query = query.where(jobs.c.status == status.value)
        return self._jobs(query)

    def find_jobs(self, hash_prefix: str, experiment: str | None = None) -> list[Job]:
        """The jobs whose config hash begins with these hexadecimal digits, in the order of adding."""
        prefix = hash_prefix.lower()
        if not re.fullmatch("[0-9a-f]+", prefix):
            return []
        in_range = (jobs.c.config_hash >= prefix) & (jobs.c.config_hash < prefix + "g")  # g follows the last digit, f
        return self._jobs(_of_experiment(select(jobs).where(in_range).order_by(jobs.c.id), experiment))

    def curve(self, job_id: int) -> Curve | None:
        """The job's curve up to its last progress commit, None before the first."""
        with read_transaction(self.engine) as connection:
            points = connection.scalar(select(curves.c.points).where(curves.c.job_id == job_id))
        return None if points is None else curve_from_json(points)

    def curves(self, experiment: str, round_name: str | None = None) -> dict[int, Curve]:
        """The curves of an experiment (or of one of its rounds) by job id, without jobs that have no curve."""
        query = select(curves).join(jobs, jobs.c.id == curves.c.job_id).order_by(curves.c.job_id)
        query = query.where(jobs.c.experiment == experiment)
        if round_name is not None:
            query = query.where(jobs.c.round == round_name)
        with read_transaction(self.engine) as connection:
            return {job_id: curve_from_json(points) for job_id, points in connection.execute(query)}

    def events(self, job_id: int | None = None, limit: int | None = 100) -> list[Event]:
        """The last `limit` events (None: all), of one job or of all, oldest first."""
        query = select(events).order_by(events.c.id.desc()).limit(limit)
        if job_id is not None:
            query = query.where(events.c.job_id == job_id)
        with read_transaction(self.engine) as connection:
            return [event_from_row(row) for row in connection.execute(query).mappings()][::-1]

    def workers(self, alive_only: bool = False) -> list[WorkerRecord]:
        """Workers in the order of starting. alive_only: those that are not marked as stopped or dead."""
        query = select(workers).order_by(workers.c.started_at, workers.c.id)
        if alive_only:
            query = query.where(workers.c.stopped_at.is_(None))
        with read_transaction(self.engine) as connection:
            return [worker_from_row(row) for row in connection.execute(query).mappings()]

    def held_by(self, worker_id: str) -> list[Claim]:
        """The valid claims of a worker. They may include unknown ones: the answer to `claim` may have been lost."""
        query = select(jobs.c.id, jobs.c.worker_id, jobs.c.epoch).where(jobs.c.worker_id == worker_id, IS_RUNNING)
        with read_transaction(self.engine) as connection:
            return [Claim(*row) for row in connection.execute(query.order_by(jobs.c.id))]

    def requests(self, worker_id: str) -> dict[int, Request]:
        """The requests of operators for the running jobs of a worker, by job id. Cheap enough for every second."""
        query = select(jobs.c.id, jobs.c.wish).where(
            jobs.c.worker_id == worker_id, IS_RUNNING, jobs.c.wish.is_not(None)
        )
        with read_transaction(self.engine) as connection:
            return {job_id: Request(request) for job_id, request in connection.execute(query)}

    def _jobs(self, query: Select[Any]) -> list[Job]:
        with read_transaction(self.engine) as connection:
            return [job_from_row(row) for row in connection.execute(query).mappings()]


def _of_experiment(query: Select[Any], experiment: str | None) -> Select[Any]:
    return query if experiment is None else query.where(jobs.c.experiment == experiment)
