"""Version 1: experiments, workers, jobs, curves and events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

metadata = sa.MetaData()

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
)
workers = sa.Table(
    "workers",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("lock_path", sa.Text, nullable=False),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("heartbeat_at", sa.Double, nullable=False),
    sa.Column("lease_until", sa.Double, nullable=False),
    sa.Column("stopped_at", sa.Double),
)
jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("experiment", sa.Text, sa.ForeignKey("experiments.name"), nullable=False),
    sa.Column("round", sa.Text, nullable=False),
    sa.Column("config_hash", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("group_key", sa.Text, nullable=False),
    sa.Column("target_steps", sa.Integer, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("worker_id", sa.Text, sa.ForeignKey("workers.id")),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("started_at", sa.Double),
    sa.Column("finished_at", sa.Double),
    sa.UniqueConstraint("experiment", "round", "config_hash", name="uq_jobs_identity"),
    sa.CheckConstraint("status IN ('pending', 'running', 'done', 'failed')", name="ck_jobs_status"),
)
curves = sa.Table(
    "curves",
    metadata,
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("points", sa.Text, nullable=False),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False, index=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("worker_id", sa.Text),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)

_PENDING = "status = 'pending'"
_FIRST = ("priority DESC", "(epoch > 0) DESC", "id")

# name -> expressions, and for which rows (None: all)
JOB_INDEXES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "ix_jobs_claim": ((*_FIRST, "group_key"), _PENDING),
    "ix_jobs_claim_experiment": (("experiment", *_FIRST, "group_key"), _PENDING),
    "ix_jobs_claim_group": (("group_key", *_FIRST, "experiment"), _PENDING),
    "ix_jobs_started": (("priority DESC", "id"), "status = 'pending' AND epoch > 0"),
    "ix_jobs_worker": (("worker_id",), "status = 'running'"),
    "ix_jobs_counts": (("experiment", "round", "status"), None),
    "ix_jobs_hash": (("config_hash",), None),
}


def create_job_indexes() -> None:
    """All indexes of the table of jobs."""
    for name, (expressions, rows) in JOB_INDEXES.items():
        where = None if rows is None else sa.text(rows)
        columns = [sa.text(expression) for expression in expressions]
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    """(nothing) -> version 1"""
    metadata.create_all(op.get_bind(), checkfirst=False)
    create_job_indexes()
    op.bulk_insert(meta, [{"key": "application", "value": "rnnlab"}, {"key": "schema_version", "value": "1"}])
