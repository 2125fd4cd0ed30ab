"""Migration of a database of an older rnnlab: its rows stay, it gets the schema of a new one, and it is copied first.

version_1.sql is what version 1 wrote: finished, running, failed, rescued and imported jobs of a worker that was killed
and one that was found dead.
"""

import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from sqlalchemy import Connection, create_engine, inspect, make_url, text
from sqlalchemy.exc import IntegrityError

import rnnlab.queue.migrations.versions as versions
from rnnlab.errors import DatabaseError
from rnnlab.queue import schema
from rnnlab.queue.database import open_database
from rnnlab.queue.heartbeat import rescue_dead_workers
from rnnlab.queue.job import Status
from rnnlab.queue.liveness import LeaseWatch, this_host
from rnnlab.queue.migrations.versions import v0001_first
from rnnlab.queue.store import Store
from rnnlab.queue.tables import SCHEMA_VERSION, metadata
from rnnlab.queue.transactions import read_transaction, write_transaction
from tests.queue.conftest import New
from tests.support.store import CURVE, add, kinds, new_job, opened, register, run_together

LOCK = (
    Path(tempfile.gettempdir()) / f"rnnlab-test-{os.getpid()}.lock"
)  # lock of the worker that was killed on this host
DUMP = (
    Path(__file__)
    .with_name("version_1.sql")
    .read_text()
    .replace(
        "'w1','elsewhere','',4711,'cpu','/nowhere/worker.lock'",
        f"'w1','{this_host().name}','{this_host().boot_id}',4711,'cpu','{LOCK}'",
    )
)
TABLES = list(v0001_first.metadata.sorted_tables)


def rows_of_version_1() -> dict[str, list[dict[str, Any]]]:
    """The rows of the dump by table."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(DUMP)
        connection.row_factory = sqlite3.Row
        return {t.name: [dict(row) for row in connection.execute(f"SELECT * FROM {t.name}")] for t in TABLES}


@pytest.fixture(autouse=True)
def lock_of_a_killed_worker() -> Iterator[None]:
    """No process holds the lock."""
    LOCK.touch()
    yield
    LOCK.unlink(missing_ok=True)


@pytest.fixture
def old_file(tmp_path: Path) -> str:
    """The address of a SQLite database as version 1 wrote it."""
    with closing(sqlite3.connect(tmp_path / "rnnlab.db")) as connection:
        connection.executescript(DUMP)
        connection.execute("PRAGMA journal_mode = WAL")
    return f"sqlite:///{tmp_path / 'rnnlab.db'}"


@pytest.fixture
def old_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """The address of a database of version 1."""
    if make_url(database_url).get_backend_name() == "sqlite":
        return str(request.getfixturevalue("old_file"))
    engine = create_engine(database_url)
    with engine.begin() as connection:
        schema.migrate(connection, 1)
        connection.execute(v0001_first.meta.delete())
        for table in TABLES:
            connection.execute(table.insert(), rows_of_version_1()[table.name])
        connection.execute(text("DROP TABLE alembic_version"))  # version 1 did not use alembic
        for name in ("jobs", "events"):
            connection.execute(text(f"SELECT setval('{name}_id_seq', (SELECT max(id) FROM {name}))"))
    engine.dispose()
    return database_url


def path_of(url: str) -> Path:
    return Path(str(make_url(url).database))


def plain(sql: str | None) -> str:
    """SQL without irrelevant differences: white space, quotes, brackets that only PostgreSQL needs."""
    spaced = re.sub(r"\s+", " ", sql or "").replace('"', "").replace("( ", "(").strip()
    return spaced.replace("(epoch > 0)", "epoch > 0")


def fingerprint(connection: Connection) -> dict[str, Any]:
    """All information of a database about its schema, except the comments on columns."""
    inspector = inspect(connection)
    found: dict[str, Any] = {}
    for table in sorted(inspector.get_table_names()):
        columns = [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)]
        checks = [(c["name"], plain(c["sqltext"])) for c in inspector.get_check_constraints(table)]
        found[table] = {
            "columns": columns,
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "checks": sorted(checks, key=str),
            "unique": sorted((u["name"], u["column_names"]) for u in inspector.get_unique_constraints(table)),
            "foreign": sorted(
                (f["constrained_columns"], f["referred_table"], f["referred_columns"])
                for f in inspector.get_foreign_keys(table)
            ),
        }
    if connection.dialect.name == "sqlite":
        indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    else:
        indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    found["indexes"] = {name: plain(sql) for name, sql in connection.execute(text(indexes))}
    found["versions"] = (
        [tuple(row) for row in connection.execute(text("SELECT key, value FROM meta ORDER BY key"))],
        list(connection.scalars(text("SELECT version_num FROM alembic_version"))),
    )
    return found


def contents(url: str) -> dict[str, Any]:
    """The rows and the schema of version 1, and the files in its folder."""
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = {t.name: connection.execute(t.select().order_by(*t.primary_key)).all() for t in TABLES}
        tables = sorted(inspect(connection).get_table_names())
    engine.dispose()
    is_file = make_url(url).get_backend_name() == "sqlite"
    names = sorted(p.name for p in path_of(url).parent.iterdir() if p.suffix not in (".db-wal", ".db-shm")) * is_file
    return {"rows": rows, "tables": tables, "files": names}


def test_there_is_a_revision_for_each_version() -> None:
    names = sorted(path.name for path in Path(versions.__path__[0]).glob("v*.py"))
    assert [name.split("_")[0] for name in names] == [f"v{number:04d}" for number in range(1, SCHEMA_VERSION + 1)]


def test_the_first_revision_makes_what_version_1_made(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'first.db'}")
    with engine.begin() as connection:
        schema.migrate(connection, 1)
    engine.dispose()
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
    with closing(sqlite3.connect(tmp_path / "first.db")) as made, closing(sqlite3.connect(":memory:")) as dumped:
        dumped.executescript(DUMP)
        expected = {name: plain(sql) for name, sql in dumped.execute(query)}
        assert {name: plain(sql) for name, sql in made.execute(query)} == expected
        assert made.execute("SELECT * FROM meta ORDER BY key").fetchall() == [
            ("application", "rnnlab"),
            ("schema_version", "1"),
        ]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")  # the SQL of such indexes is compared
def test_a_migrated_database_has_the_schema_of_a_new_one(old_url: str, new: New) -> None:
    with opened(new(old_url), create=True) as engine, read_transaction(engine) as connection:
        expected = fingerprint(connection)
    with opened(old_url) as engine, read_transaction(engine) as connection:
        assert fingerprint(connection) == expected
    assert expected["versions"] == (
        [("application", "rnnlab"), ("schema_version", str(SCHEMA_VERSION))],
        [f"{SCHEMA_VERSION:04d}"],
    )
    # The comparison detects a difference.
    assert [name for name, *_ in expected["jobs"]["columns"]] == [column.name for column in metadata.tables["jobs"].c]
    assert [name for name, _ in expected["jobs"]["checks"]] == ["ck_jobs_status", "ck_jobs_wish"]
    assert "epoch > 0" in expected["indexes"]["ix_jobs_claim"]


def test_a_migrated_database_keeps_its_rows(old_url: str) -> None:
    with opened(old_url) as engine:
        old = rows_of_version_1()
        with read_transaction(engine) as connection:
            for table in TABLES:
                if table.name != "meta":
                    rows = connection.execute(table.select().order_by(*table.primary_key)).mappings()
                    assert [dict(row) for row in rows] == old[table.name]
        store = Store(engine)
        assert {(job.failures, job.preemptions, job.request) for job in store.jobs()} == {(0, 0, None)}
        assert {worker.lock_folder for worker in store.workers()} == {""}


def test_a_migrated_database_can_be_worked_on(old_url: str) -> None:
    with opened(old_url, create=True) as engine:
        store = Store(engine)
        assert rescue_dead_workers(store, this_host(), LeaseWatch()) == [3]
        [failed] = store.jobs(status=Status.FAILED)
        store.retry([failed.id])
        register(store, "new")
        [job] = store.claim("new", 1)
        assert (job.id, job.step, job.epoch) == (3, 250, 2)
        store.pause([job.id])
        assert store.apply_request(job.claim) is Status.PAUSED
        for other in store.claim("new", 9, group_key="a"):
            store.finish(other.claim, {}, 1.0, CURVE)
        assert len(add(store, [new_job(n, group_key="ab"[n % 2]) for n in range(10)])) == 10
        assert kinds(store, 3) == ["added", "claimed", "rescued", "resumed", "asked", "paused"]


def test_a_copy_of_the_file_is_kept_and_never_written_over(old_file: str) -> None:
    path = path_of(old_file)
    path.chmod(0o640)
    copies = [path.with_name("rnnlab.db.schema-1"), path.with_name("rnnlab.db.schema-1.2")]
    for number in (1, 2):
        open_database(old_file, create=False).dispose()
        assert sorted(path.parent.iterdir()) == [path, *copies[:number]]
        for copy in copies[:number]:
            with closing(sqlite3.connect(copy)) as connection:
                assert "\n".join(connection.iterdump()) + "\n" == DUMP
            assert copy.stat().st_mode & 0o777 == 0o640
        path.write_bytes(copies[0].read_bytes())  # an operator restores the copy


def test_without_a_copy_nothing_is_changed(old_file: str) -> None:
    in_the_way = path_of(old_file).with_name("rnnlab.db.schema-1.part")
    in_the_way.mkdir()
    before = contents(old_file)
    with pytest.raises(DatabaseError, match="it could not be copied to") as caught:
        open_database(old_file, create=False)
    assert "\n" not in str(caught.value)
    assert contents(old_file) == before
    in_the_way.rmdir()
    open_database(old_file, create=False).dispose()


def test_looking_does_not_migrate(old_url: str) -> None:
    before = contents(old_url)
    with pytest.raises(DatabaseError, match=r"schema 1, this rnnlab needs 2\): run `rnnlab worker`") as caught:
        open_database(old_url, create=False, read_only=True)
    assert "\n" not in str(caught.value)
    assert contents(old_url) == before


@pytest.mark.parametrize("place", ["here", "elsewhere"])
def test_live_workers_of_the_old_version_are_not_disturbed(old_url: str, place: str) -> None:
    """The clocks do not matter: the lease of the remote worker expired long ago."""
    engine = create_engine(old_url)
    if place == "elsewhere":
        with engine.begin() as connection:
            connection.execute(text("UPDATE workers SET host = 'elsewhere', boot_id = '' WHERE id = 'w1'"))
    before = contents(old_url)
    with FileLock(LOCK) if place == "here" else nullcontext():
        for create in (True, False):
            with pytest.raises(DatabaseError, match=r"may be alive \(w1 on [^,]+\): stop them, then run") as caught:
                open_database(old_url, create=create)
            assert "\n" not in str(caught.value)
    assert contents(old_url) == before
    with engine.begin() as connection:
        connection.execute(text("UPDATE workers SET stopped_at = 1 WHERE id = 'w1'"))
    engine.dispose()
    open_database(old_url, create=False).dispose()


def test_a_process_of_the_old_version_cannot_join_afterwards(old_url: str) -> None:
    with opened(old_url) as engine:
        worker = rows_of_version_1()["workers"][0] | {"id": "late"}
        job = rows_of_version_1()["jobs"][0] | {"id": 99, "config_hash": "f" * 64}
        for table, row in ((v0001_first.workers, worker), (v0001_first.jobs, job)):
            with pytest.raises(IntegrityError), write_transaction(engine) as connection:
                connection.execute(table.insert(), row)


def test_four_processes_that_open_at_once_migrate_once(old_url: str) -> None:
    jobs = len(rows_of_version_1()["jobs"])
    assert [int(output) for output in run_together([["open", old_url]] * 4)] == [jobs] * 4
    if make_url(old_url).get_backend_name() == "sqlite":
        names = [path.name for path in path_of(old_url).parent.iterdir()]
        assert sorted(names) == ["rnnlab.db", "rnnlab.db.schema-1"]


def test_a_migration_that_breaks_off_leaves_the_old_database(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before, whole = contents(old_url), schema.migrate

    def broken(connection: Connection, version: int) -> None:
        whole(connection, version)
        raise RuntimeError("power cut")

    monkeypatch.setattr(schema, "migrate", broken)
    with pytest.raises(RuntimeError, match="power cut"):
        open_database(old_url, create=False)
    assert contents(old_url) | {"files": []} == before | {"files": []}
    monkeypatch.undo()
    open_database(old_url, create=False).dispose()
