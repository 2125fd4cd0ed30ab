"""The schema and the records agree."""

from dataclasses import fields

import pytest
from sqlalchemy import Table

from rnnlab.queue.job import Event, Job, Status, WorkerRecord
from rnnlab.queue.tables import events, jobs, metadata, workers


@pytest.mark.parametrize(("table", "record"), [(jobs, Job), (events, Event), (workers, WorkerRecord)])
def test_columns_are_the_fields_of_the_record(table: Table, record: type) -> None:
    field_of_column = {"wish": "request"}
    columns = [field_of_column.get(column.name, column.name) for column in table.columns]
    assert columns == [field.name for field in fields(record)]


def test_every_column_is_explained() -> None:
    columns = [column for table in metadata.sorted_tables for column in table.columns]
    assert [f"{column.table.name}.{column.name}" for column in columns if not column.comment] == []


def test_the_table_knows_every_status() -> None:
    [check] = [constraint for constraint in jobs.constraints if constraint.name == "ck_jobs_status"]
    assert all(f"'{status.value}'" in str(getattr(check, "sqltext", "")) for status in Status)
