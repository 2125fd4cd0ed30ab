"""Version 2: jobs can be paused and cancelled, exceptions and preemptions are counted, lock folders are known.

A worker of version 1 that comes back to life afterwards cannot register again, nor add jobs: both lack a value.
"""

import sqlalchemy as sa
from alembic import op

from rnnlab.queue.migrations.versions import v0001_first as first

revision = "0002"
down_revision = "0001"

_STATUSES = "status IN ('pending', 'running', 'paused', 'done', 'failed', 'cancelled')"
_WISHES = "wish IS NULL OR (status = 'running' AND wish IN ('pause', 'cancel'))"


def upgrade() -> None:
    """Version 1 -> version 2. SQLite cannot change a constraint: there, both tables are copied."""
    jobs = first.jobs.to_metadata(sa.MetaData())
    workers = first.workers.to_metadata(sa.MetaData())
    # The rows that are there need a value; later ones are given theirs.
    for table, name, kind, value in (
        (jobs, "failures", sa.Integer, "0"),
        (jobs, "preemptions", sa.Integer, "0"),
        (workers, "lock_folder", sa.Text, ""),
    ):
        table.append_column(sa.Column(name, kind, nullable=False, server_default=value))
        op.add_column(table.name, sa.Column(name, kind, nullable=False, server_default=value))
    jobs.append_column(sa.Column("wish", sa.Text))
    op.add_column("jobs", sa.Column("wish", sa.Text))

    for name in first.JOB_INDEXES:
        op.drop_index(name, "jobs")
    with op.batch_alter_table("jobs", copy_from=jobs) as batch:
        batch.alter_column("failures", server_default=None)
        batch.alter_column("preemptions", server_default=None)
        batch.drop_constraint("ck_jobs_status", type_="check")
        batch.create_check_constraint("ck_jobs_status", _STATUSES)
        batch.create_check_constraint("ck_jobs_wish", _WISHES)
    first.create_job_indexes()
    with op.batch_alter_table("workers", copy_from=workers) as batch:
        batch.alter_column("lock_folder", server_default=None)
    op.execute(first.meta.update().where(first.meta.c.key == "schema_version").values(value="2"))
