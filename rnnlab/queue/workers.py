"""The part of the store about workers: registration, leases, and the rescue of jobs from dead workers."""

import time
from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import Connection, Engine, Integer, and_, bindparam, case, func, select, update

from rnnlab.errors import WorkerStoppedError
from rnnlab.queue.dialects import conflict_insert
from rnnlab.queue.insertion import Enqueuer
from rnnlab.queue.job import WorkerRecord
from rnnlab.queue.release import RETURNED, release_events, release_values
from rnnlab.queue.rows import add_events, storable
from rnnlab.queue.tables import IS_RUNNING, jobs, workers
from rnnlab.queue.transactions import write

LEASE_SECONDS = 60.0
# Deaths of its worker without progress after which a job is failed, if it was the only job of the last worker. If that
# worker held other jobs too, the job may be innocent: it is then suspected, is claimed alone, and fails if that worker
# dies too.
MAX_DEATHS = 2

_IS_ALIVE = workers.c.stopped_at.is_(None)

_RENEW = (
    update(workers)
    .where(workers.c.id == bindparam("the_worker"), _IS_ALIVE)
    .values(heartbeat_at=bindparam("now"), lease_until=bindparam("until"))
)

_STOP = update(workers).where(workers.c.id == bindparam("the_worker"), _IS_ALIVE).values(stopped_at=bindparam("now"))

# running -> pending, or paused or cancelled on request
_RELEASE_ALL = (
    update(jobs)
    .where(jobs.c.worker_id == bindparam("the_worker"), IS_RUNNING)
    .values(preemptions=jobs.c.preemptions + 1, **release_values())
    .returning(*RETURNED)
)

_HELD = select(func.count()).select_from(jobs).where(jobs.c.worker_id == bindparam("the_worker"), IS_RUNNING)

# running -> pending, or failed if the budget of deaths is used up, or paused or cancelled on request
_IS_POISON = jobs.c.deaths + 1 >= bindparam("budget", type_=Integer)
_RESCUE = (
    update(jobs)
    .where(jobs.c.worker_id == bindparam("the_worker"), IS_RUNNING)
    .values(
        deaths=jobs.c.deaths + 1,
        error=case((and_(jobs.c.wish.is_(None), _IS_POISON), bindparam("poison")), else_=jobs.c.error),
        **release_values(_IS_POISON),
    )
    .returning(*RETURNED)
)


class WorkerTable(Enqueuer):
    """The part of the store about workers. Every method raises DatabaseError if the database cannot be written."""

    def __init__(
        self, engine: Engine, *, lease_seconds: float = LEASE_SECONDS, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(engine, clock=clock)
        self.lease_seconds = lease_seconds

    def register_worker(self, record: WorkerRecord) -> None:
        """Register a new worker, which must hold its lock file. From then on it can claim jobs and be found dead.

        A second call changes nothing: the answer to the first call may have been lost.
        """
        statement = conflict_insert(self.engine.dialect.name, workers).on_conflict_do_nothing()
        write(self.engine, lambda connection: connection.execute(statement, asdict(record)))

    def heartbeat(self, worker_id: str) -> bool:
        """Renew the worker's lease. Returns False if it was found dead or stopped: it no longer owns its jobs."""
        now = self.clock()
        values = {"the_worker": worker_id, "now": now, "until": now + self.lease_seconds}
        return write(self.engine, lambda connection: connection.execute(_RENEW, values).rowcount == 1)

    def stop_worker(self, worker_id: str) -> None:
        """End a worker in order. Jobs that it still holds are released, at no cost to them."""
        now = self.clock()

        def body(connection: Connection) -> None:
            connection.execute(_STOP, {"the_worker": worker_id, "now": now})
            released = connection.execute(_RELEASE_ALL, {"the_worker": worker_id, "now": now}).all()
            add_events(connection, release_events(released, "released", at=now, detail="worker stopped"))

        write(self.engine, body)

    def rescue(self, worker_id: str, reason: str, *, if_lease_until: float | None = None) -> list[int]:
        """Take all running jobs from a dead worker and mark it as stopped. Returns the ids of these jobs.

        They become pending with one more death, or failed if that makes MAX_DEATHS without progress (one more if the
        worker held several jobs, of which at most one is the cause), or paused or cancelled if an operator requested
        it. If several processes rescue the same worker, one gets the jobs and the others get none; a death counts once.

        if_lease_until: do nothing if the lease has changed since, because then the worker is alive.
        """
        now = self.clock()
        poison = storable(
            f"quarantined: its workers died repeatedly without progress, the last time because {reason}; "
            "see the log in its run folder, then run `rnnlab retry --failed`"
        )

        def body(connection: Connection) -> list[int]:
            lease = connection.scalar(select(workers.c.lease_until).where(workers.c.id == worker_id).with_for_update())
            if if_lease_until is not None and lease != if_lease_until:
                return []
            connection.execute(_STOP, {"the_worker": worker_id, "now": now})
            held = connection.scalar(_HELD, {"the_worker": worker_id})
            values = {"the_worker": worker_id, "now": now, "poison": poison, "budget": MAX_DEATHS + (held != 1)}
            rescued = connection.execute(_RESCUE, values).all()
            add_events(connection, release_events(rescued, "rescued", at=now, detail=reason, failed=poison))
            return sorted(row.id for row in rescued)

        return write(self.engine, body)


def stopped_error(worker_id: str) -> WorkerStoppedError:
    """The error for a worker that tries to claim after it was stopped or found dead."""
    return WorkerStoppedError(
        f"worker {worker_id} is not registered, was stopped or was declared dead: start a new worker"
    )
