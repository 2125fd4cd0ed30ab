"""The schema of the job database, version 2. The revisions in `migrations` migrate older databases.

The lease of a job is that of its worker, in the `workers` row, so that one small statement renews a whole cohort. The
`events` table is the history; rows are only added to it. Each event is written in the same transaction as the
transition that it records:

    added          (nothing) -> pending
    imported       (nothing) -> done             a result that was computed elsewhere
    claimed        pending -> running            first claim of the job
    resumed        pending -> running            every later claim
    released       running -> pending            graceful stop, costs nothing
    rescued        running -> pending            its worker died, and the budget is not used up
    excepted       running -> pending            an exception, and the budget is not used up
    finished       running -> done
    failed         running -> failed             an exception or a death of its worker, and the budget is used up
    asked          running -> running            an operator requests a pause or a cancellation
    unasked        running -> running            the request is withdrawn
    paused         pending, running -> paused    at once, or by its worker on request
    unpaused       paused -> pending
    cancelled      any but done -> cancelled     at once, or by its worker on request
    retried        failed, cancelled -> pending
    reprioritised  (no change)                   the old and the new priority

The column `wish` holds the request of an operator, `Job.request`. A job with a request that is released, rescued or
excepted has two events: it becomes pending, and is paused or cancelled at the same time.
"""

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    and_,
    bindparam,
    literal_column,
)
from sqlalchemy.sql.elements import Grouping

SCHEMA_VERSION = 2
APPLICATION = "rnnlab"  # in `meta`: marks the database as one of rnnlab

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True, comment="application, schema_version"),
    Column("value", Text, nullable=False, comment="rnnlab; the schema's version as a decimal number"),
)

experiments = Table(
    "experiments",
    metadata,
    Column("name", Text, primary_key=True, comment="as in the experiment file"),
    Column("spec", Text, nullable=False, comment="JSON of the validated experiment; opaque to the queue"),
    Column("created_at", Double, nullable=False, comment="seconds since 1970, like all times here"),
    Column("updated_at", Double, nullable=False, comment="when the spec last became another one"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True, comment="random; never used twice"),
    Column("host", Text, nullable=False, comment="host name"),
    Column("boot_id", Text, nullable=False, comment="changes when the host restarts; empty: trust the lease only"),
    Column("pid", Integer, nullable=False, comment="for people to read; nothing is decided by it"),
    Column("device", Text, nullable=False, comment="what torch calls it: cpu, cuda:0"),
    Column("lock_path", Text, nullable=False, comment="lock file that the worker holds for life"),
    Column("started_at", Double, nullable=False, comment="when it registered"),
    Column("heartbeat_at", Double, nullable=False, comment="last renewal of the lease"),
    Column("lease_until", Double, nullable=False, comment="a lease after heartbeat_at; unrenewed for so long: rescued"),
    Column("stopped_at", Double, comment="orderly end, or found dead; such a worker can claim nothing any more"),
    Column("lock_folder", Text, nullable=False, comment="empty: workers of schema 1 lack it, and are kept out"),
)

# The columns are in the order of the fields of `Job`; a test compares the two.
jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True, comment="ascending in the order of adding"),
    Column("experiment", Text, ForeignKey("experiments.name"), nullable=False, comment="name"),
    Column("round", Text, nullable=False, comment="name of the round within the experiment"),
    Column("config_hash", Text, nullable=False, comment="SHA-256 of the payload, hexadecimal"),
    Column("payload", Text, nullable=False, comment="canonical JSON of the run config; opaque to the queue"),
    Column("group_key", Text, nullable=False, comment="jobs with equal keys can be trained in one cohort"),
    Column("target_steps", Integer, nullable=False, comment="optimiser steps until done, >= 1"),
    Column("priority", Integer, nullable=False, comment="higher is claimed first"),
    Column("status", Text, nullable=False, comment="see Status"),
    Column("epoch", Integer, nullable=False, comment="number of claims so far; only ever incremented"),
    Column("worker_id", Text, ForeignKey("workers.id"), comment="owner while running, last owner afterwards"),
    Column("step", Integer, nullable=False, comment="optimiser steps committed so far; never goes back"),
    Column("deaths", Integer, nullable=False, comment="deaths of its worker since the last progress"),
    Column("seconds", Double, nullable=False, comment="time in training, summed over claims"),
    Column("result", Text, comment="JSON object given to finish()"),
    Column("error", Text, comment="the last traceback, or why it was quarantined"),
    Column("created_at", Double, nullable=False, comment="when it was added"),
    Column("started_at", Double, comment="first claim"),
    Column("finished_at", Double, comment="when it became done, failed or cancelled"),
    Column("failures", Integer, nullable=False, comment="exceptions since the last retry"),
    Column("preemptions", Integer, nullable=False, comment="releases so far"),
    Column("wish", Text, comment="pause or cancel: what an operator wants of its worker; only while running"),
    UniqueConstraint("experiment", "round", "config_hash", name="uq_jobs_identity"),
    CheckConstraint("status IN ('pending', 'running', 'paused', 'done', 'failed', 'cancelled')", name="ck_jobs_status"),
    CheckConstraint("wish IS NULL OR (status = 'running' AND wish IN ('pause', 'cancel'))", name="ck_jobs_wish"),
)

curves = Table(
    "curves",
    metadata,
    Column("job_id", Integer, ForeignKey("jobs.id"), primary_key=True, comment="one curve for each job"),
    Column("points", Text, nullable=False, comment="JSON {steps, series}; replaced whole at each progress commit"),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, comment="ascending in time"),
    Column("job_id", Integer, ForeignKey("jobs.id"), nullable=False, index=True, comment="whose history"),
    Column("at", Double, nullable=False, comment="time of the transition"),
    Column("kind", Text, nullable=False, comment="see the list atop this file"),
    Column("worker_id", Text, comment="who held the job (a rescue: the dead worker)"),
    Column("epoch", Integer, nullable=False, comment="epoch of the job after the event"),
    Column("detail", Text, nullable=False, comment="reason, error; may be empty"),
)

# The planner uses a partial index, or an index on an expression, only for a query with the same literals, not with
# bound parameters. Queries therefore use these expressions.
IS_PENDING = jobs.c.status == literal_column("'pending'")
IS_RUNNING = jobs.c.status == literal_column("'running'")
WAS_STARTED = jobs.c.epoch > literal_column("0")
# Its worker died twice since its last progress, and the last one held other jobs too (workers.py).
IS_SUSPECTED = jobs.c.deaths >= literal_column("2")

# The fencing token, as parameters: the last claim of a job, and whether it is still valid.
IS_LAST_CLAIM = and_(
    jobs.c.id == bindparam("the_job"),
    jobs.c.worker_id == bindparam("the_worker"),
    jobs.c.epoch == bindparam("the_epoch"),
)
IS_CLAIMED = and_(IS_LAST_CLAIM, IS_RUNNING)

# The order of claims: higher priority, then jobs that were started before, then older jobs.
CLAIM_ORDER = (jobs.c.priority.desc(), Grouping(WAS_STARTED).desc(), jobs.c.id)
# The same order for started jobs alone, in the form of their own small index.
STARTED_ORDER = (jobs.c.priority.desc(), jobs.c.id)


def _partial_index(name: str, *columns: ColumnElement[Any], where: ColumnElement[bool]) -> None:
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


# The first job of all, and of one experiment; the last column avoids a lookup in the table.
_partial_index("ix_jobs_claim", *CLAIM_ORDER, jobs.c.group_key, where=IS_PENDING)
_partial_index("ix_jobs_claim_experiment", jobs.c.experiment, *CLAIM_ORDER, jobs.c.group_key, where=IS_PENDING)
# The first jobs of one group.
_partial_index("ix_jobs_claim_group", jobs.c.group_key, *CLAIM_ORDER, jobs.c.experiment, where=IS_PENDING)
# Released and rescued jobs: there are few, and they are queried often.
_partial_index("ix_jobs_started", *STARTED_ORDER, where=and_(IS_PENDING, WAS_STARTED))
# The jobs that a worker holds.
_partial_index("ix_jobs_worker", jobs.c.worker_id, where=IS_RUNNING)
# Counts, and the jobs of one round.
Index("ix_jobs_counts", jobs.c.experiment, jobs.c.round, jobs.c.status)
# A job by the first digits of its hash.
Index("ix_jobs_hash", jobs.c.config_hash)
