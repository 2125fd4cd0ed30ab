"""Opening a database: what is refused, with which message, and that a refused file stays unchanged."""

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from rnnlab.errors import DatabaseAwayError, DatabaseError
from rnnlab.queue.database import open_database, sibling_engine
from rnnlab.queue.reader import Reader
from rnnlab.queue.store import Store
from rnnlab.queue.transactions import read_transaction, write_transaction
from tests.support.store import new_job

NOBODY = 65534
needs_two_users = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


def make(path: Path) -> Path:
    open_database(path, create=True).dispose()
    return path


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Run as an ordinary user: permissions do not apply to root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that an ordinary user can reach, which pytest's are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def short_text(path: Path) -> None:
    path.write_text("not a database\n")


def torn(path: Path) -> None:
    whole = (path if path.exists() else make(path)).read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))


def of_another_program(path: Path) -> None:
    sql(path, "CREATE TABLE recipes (name TEXT)", "INSERT INTO recipes VALUES ('soup')")


def with_a_meta_table(path: Path) -> None:
    sql(path, "CREATE TABLE meta (key TEXT, value TEXT)", "INSERT INTO meta VALUES ('schema_version', '3')")


def with_another_meta_table(path: Path) -> None:
    sql(path, "CREATE TABLE meta (id INTEGER)")


def in_wal_mode(path: Path) -> None:
    sql(path, "PRAGMA journal_mode = WAL", "CREATE TABLE recipes (name TEXT)")


def newer(path: Path) -> None:
    sql(make(path), "UPDATE meta SET value = '7' WHERE key = 'schema_version'")


BAD: list[tuple[Callable[[Path], None], str]] = [
    (garbage, "is not a SQLite database"),
    (short_text, "is not a SQLite database"),
    (torn, "is damaged"),
    (of_another_program, "has tables, but none of rnnlab's"),
    (with_a_meta_table, "has tables, but none of rnnlab's"),
    (with_another_meta_table, "has tables, but none of rnnlab's"),
    (in_wal_mode, "has tables, but none of rnnlab's"),
    (newer, r"was written by a newer rnnlab \(schema 7, this rnnlab supports 2\): upgrade rnnlab"),
]
MODES = [{"create": True}, {"create": False}, {"create": False, "read_only": True}]


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(("write", "message"), BAD, ids=[write.__name__ for write, _ in BAD])
def test_a_file_that_is_not_ours_is_refused_and_left_alone(
    tmp_path: Path, write: Callable[[Path], None], message: str, mode: dict[str, bool]
) -> None:
    path = tmp_path / "some.db"
    write(path)
    before = contents(tmp_path)
    with pytest.raises(DatabaseError, match=message) as caught:
        open_database(path, **mode)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("mode", MODES[1:], ids=str)
def test_a_missing_database_is_not_made_by_looking_for_it(tmp_path: Path, mode: dict[str, bool]) -> None:
    path = tmp_path / "no" / "rnnlab.db"
    expected = f"no job database at {path}: run `rnnlab init NAME` first, or name another with --db"
    with pytest.raises(DatabaseError) as caught:
        open_database(path, **mode)
    assert str(caught.value) == expected
    assert list(tmp_path.iterdir()) == []
    path.parent.mkdir()
    path.touch()
    with pytest.raises(DatabaseError, match="no job database"):
        open_database(path, **mode)
    assert path.read_bytes() == b""


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "rnnlab.db"
    path.touch()
    make(path)
    open_database(path, create=False).dispose()


def test_a_folder_is_not_a_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="is not a file"):
        open_database(tmp_path, create=True)


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DatabaseError, match="cannot be reached"):
        open_database(tmp_path / "file" / "rnnlab.db", create=True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:secret@host/lab", "only SQLite and PostgreSQL"),
        ("postgresql+psycopg2://me:secret@host/lab", r"postgresql\+psycopg2://...: only SQLite and PostgreSQL"),
        ("postgresql://me:secret@host", "postgresql://me@host: the address has no database name"),
        ("postgresql://me:sec/ret@host:port/lab", "is not a valid database URL"),
        ("sqlite://", "a job database must be a file"),
        ("sqlite:///:memory:", "a job database must be a file"),
        ("sqlite:///x.db?mode=ro", "a job database must be a file"),
        ("://", "is not a valid database URL"),
        ("nosuch://x/y", "only SQLite and PostgreSQL"),
    ],
)
def test_other_addresses_are_refused(url: str, message: str) -> None:
    with pytest.raises(DatabaseError, match=message) as caught:
        open_database(url, create=True)
    assert "sec" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["~nosuch/x.db", "sqlite:///~nosuch/x.db", "zero\0.db"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_path_that_leads_nowhere_is_refused(url: str, mode: dict[str, bool]) -> None:
    with pytest.raises(DatabaseError, match=r"^job database '.*\.db' cannot be reached") as caught:
        open_database(url, **mode)
    assert "\n" not in str(caught.value)


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rnnlab.db").symlink_to(tmp_path / "rnnlab.db")
    with pytest.raises(DatabaseError, match=r"cannot be reached"):
        open_database(tmp_path / "rnnlab.db", create=True)


def test_a_table_behind_a_link_is_looked_at_with_its_log(open_folder: Path) -> None:
    for name in ("links", "target"):
        (open_folder / name).mkdir()
    link = open_folder / "links" / "rnnlab.db"
    link.symlink_to(make(open_folder / "target" / "rnnlab.db"))
    (open_folder / "links").chmod(0o555)  # the folder of the link does not matter
    engine = open_database(link, create=False)
    Store(engine).add_jobs("demo", "{}", "first", [])
    assert (open_folder / "target" / "rnnlab.db-wal").stat().st_size > 0
    with as_ordinary_user():
        looking = open_database(f"sqlite:///{link}", create=False, read_only=True)
        assert Reader(looking).experiment_names() == ["demo"]
    looking.dispose()
    engine.dispose()


def test_an_unwritable_folder_is_refused(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    with as_ordinary_user(), pytest.raises(DatabaseError, match="not writable"):
        open_database(open_folder / "rnnlab.db", create=True)
    with as_ordinary_user(), pytest.raises(DatabaseError, match="cannot be reached"):
        open_database(open_folder / "deeper" / "rnnlab.db", create=True)
    assert list(open_folder.iterdir()) == []


def test_a_read_only_database_can_be_looked_at_but_not_worked_on(open_folder: Path) -> None:
    path = make(open_folder / "rnnlab.db")
    path.chmod(0o444)
    open_folder.chmod(0o555)
    before = contents(open_folder)
    with as_ordinary_user():
        for create in (True, False):
            with pytest.raises(DatabaseError, match="is read-only: make it writable"):
                open_database(path, create=create)
        engine = open_database(path, create=False, read_only=True)
        assert Store(engine).jobs() == []
        engine.dispose()
    assert contents(open_folder) == before


def test_an_unreadable_database_is_refused(open_folder: Path) -> None:
    path = make(open_folder / "rnnlab.db")
    path.chmod(0)
    with as_ordinary_user(), pytest.raises(DatabaseError, match="cannot be read"):
        open_database(path, create=False, read_only=True)


@pytest.mark.parametrize("name", ["plain.db", "with space & % ? # é.db"])
def test_a_path_and_its_url_are_the_same_database(tmp_path: Path, name: str) -> None:
    make(tmp_path / "new" / name)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
    engine = open_database(tmp_path / "new" / name, create=False)
    Store(engine).add_jobs("demo", "{}", "first", [])
    engine.dispose()
    if name == "plain.db":
        engine = open_database(f"sqlite:///{tmp_path}/new/{name}", create=False)
        assert Store(engine).experiment_names() == ["demo"]
        engine.dispose()


def test_the_settings_that_the_promises_rest_on(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "rnnlab.db", create=True)
    with read_transaction(engine) as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_transaction_that_raises_leaves_nothing(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "rnnlab.db", create=True)
    with pytest.raises(ZeroDivisionError), write_transaction(engine) as connection:
        connection.execute(text("INSERT INTO experiments VALUES ('demo', '{}', 0, 0)"))
        _ = 1 / 0
    assert Store(engine).experiment_names() == []
    engine.dispose()


def test_a_writer_waits_for_the_lock_before_it_reads(tmp_path: Path) -> None:
    """Read, then write, from several threads at once: lost updates and errors would change the sum."""
    engine = open_database(tmp_path / "rnnlab.db", create=True)
    Store(engine).add_jobs("demo", "0", "first", [])

    def count_up() -> None:
        for _ in range(25):
            with write_transaction(engine) as connection:
                value = int(connection.execute(text("SELECT spec FROM experiments")).scalar_one())
                connection.execute(text("UPDATE experiments SET spec = :new"), {"new": str(value + 1)})

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Store(engine).experiment("demo") == "100"
    engine.dispose()


def test_a_locked_database_is_reported_in_one_line_and_usable_again(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "rnnlab.db", create=True)
    impatient = sibling_engine(engine, busy_seconds=0.05)
    with write_transaction(engine), pytest.raises(DatabaseAwayError, match="locked by another program"):
        Store(impatient).add_jobs("demo", "{}", "first", [])
    Store(impatient).add_jobs("demo", "{}", "first", [])
    impatient.dispose()
    engine.dispose()


def test_a_full_disk_is_reported_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "rnnlab.db", create=True)
    with pytest.raises(DatabaseError, match="disk is full"), write_transaction(engine) as connection:
        connection.execute(text("INSERT INTO experiments VALUES ('small', '{}', 0, 0)"))
        connection.execute(text("PRAGMA max_page_count = 1"))  # SQLite's way to simulate a full disk
        connection.execute(text("INSERT INTO experiments VALUES ('large', :spec, 0, 0)"), {"spec": "x" * 10**6})
    engine.dispose()
    engine = open_database(tmp_path / "rnnlab.db", create=False)
    assert Store(engine).experiment_names() == []
    engine.dispose()


# Files that change while they are in use


def moved_away(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def deleted(path: Path) -> None:
    for part in path.parent.glob(f"{path.name}*"):
        part.unlink()


def created_again(path: Path) -> None:
    deleted(path)
    make(path)


def replaced_by_a_copy(path: Path) -> None:
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    copy.replace(path)


@pytest.mark.parametrize("change", [moved_away, deleted, created_again, replaced_by_a_copy])
def test_nothing_is_written_to_a_file_that_was_removed(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = tmp_path / "rnnlab.db"
    engine = open_database(path, create=True)
    sibling = sibling_engine(engine, busy_seconds=1.0)
    unused = sibling_engine(engine, busy_seconds=1.0)  # has no connection before the file is moved
    stores = [Store(engine), Store(sibling)]
    for number, store in enumerate(stores):
        store.add_jobs(f"before {number}", "{}", "first", [])
    change(path)
    before = contents(tmp_path)
    for store in [*stores, Store(unused)]:
        for _ in range(2):
            with pytest.raises(DatabaseError, match="was deleted, moved or replaced while it was in use") as caught:
                store.add_jobs("after", "{}", "first", [])
            assert not isinstance(caught.value, DatabaseAwayError)
            assert "\n" not in str(caught.value)
    assert contents(tmp_path).get(path.name) == before.get(path.name)
    if path.exists():
        assert "after" not in Reader(open_database(path, create=False, read_only=True)).experiment_names()
    for one in (engine, sibling, unused):
        one.dispose()


@pytest.mark.parametrize("write", [garbage, torn])
def test_a_file_that_is_overwritten_is_an_error_of_one_line(tmp_path: Path, write: Callable[[Path], None]) -> None:
    engine = open_database(tmp_path / "rnnlab.db", create=True)
    store = Store(engine)
    store.add_jobs("demo", "{}", "first", [])
    with closing(sqlite3.connect(tmp_path / "rnnlab.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    write(tmp_path / "rnnlab.db")
    for call in (lambda: store.add_jobs("demo", "{}", "first", []), store.jobs):
        with pytest.raises(DatabaseError, match=r"is damaged|is not a SQLite database") as caught:
            call()
        assert "\n" not in str(caught.value)
    engine.dispose()


def test_a_file_that_was_moved_away_and_back_can_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "rnnlab.db"
    engine = open_database(path, create=True)
    store = Store(engine)
    store.add_jobs("before", "{}", "first", [])
    moved_away(path)
    with pytest.raises(DatabaseError, match="restore it"):
        store.add_jobs("meanwhile", "{}", "first", [])
    (tmp_path / "elsewhere.db").rename(path)
    store.add_jobs("after", "{}", "first", [])
    assert store.experiment_names() == ["after", "before"]
    engine.dispose()


@needs_two_users
def test_a_reader_without_rights_keeps_up_with_writers(open_folder: Path) -> None:
    path = make(open_folder / "rnnlab.db")
    with as_ordinary_user():
        looking = open_database(path, create=False, read_only=True)
        assert Reader(looking).jobs() == []  # no process writes, so there is no log
    engine = open_database(path, create=False)
    for number in (1, 2, 3):
        Store(engine).add_jobs(f"demo {number}", "{}", "first", [new_job(n) for n in range(1000)])
        with as_ordinary_user():
            assert len(Reader(looking).jobs()) == 1000 * number
    engine.dispose()  # the log is moved into the file and removed
    with as_ordinary_user():
        assert len(Reader(looking).jobs()) == 3000
    looking.dispose()


@needs_two_users
def test_a_file_that_changes_under_the_eyes_of_a_reader_is_not_called_damaged(open_folder: Path) -> None:
    path = make(open_folder / "rnnlab.db")
    with as_ordinary_user():
        looking = open_database(path, create=False, read_only=True)
        with (
            pytest.raises(DatabaseAwayError, match="changed while it was being read"),
            read_transaction(looking) as look,
        ):
            look.execute(text("SELECT count(*) FROM meta"))
            os.seteuid(0)
            engine = open_database(path, create=False)
            Store(engine).add_jobs("demo", "{}", "first", [new_job(n) for n in range(3000)])
            engine.dispose()
            look.execute(text("SELECT * FROM jobs")).all()
    assert len(Reader(looking).jobs()) == 3000
    looking.dispose()
