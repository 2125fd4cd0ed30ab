"""What is specific to a server: restarts, conflicts, permissions. And the helper that starts it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url, text

import tests.support.postgres_server as helper
from rnnlab.errors import DatabaseAwayError, DatabaseError, WorkerStoppedError
from rnnlab.queue.claim_statements import Among, claim
from rnnlab.queue.database import open_database, sibling_engine
from rnnlab.queue.heartbeat import Heartbeat
from rnnlab.queue.store import Store
from rnnlab.queue.transactions import CollisionError, read_transaction, write, write_transaction
from tests.queue.conftest import skip_or_fail
from tests.support.postgres_server import PostgresServer
from tests.support.store import ManualClock, add, new_job, register

MODES = [{"create": True}, {"create": False}, {"create": False, "read_only": True}]
DEADLINE_SECONDS = 60.0


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """A fresh database, on PostgreSQL only."""
    engine = open_database(postgres_url, create=True)
    yield engine
    engine.dispose()


def refusal(url: str, **mode: bool) -> str:
    """The one-line message with which it is refused."""
    with pytest.raises(DatabaseError) as caught:
        open_database(url, **mode)
    message = str(caught.value)
    assert "\n" not in message
    assert "secret" not in message
    return message


def run_sql(url: str, *statements: str) -> None:
    """Execute SQL as another program."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


# Opening


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_database_of_others_is_refused_and_left_alone(postgres_url: str, mode: dict[str, bool]) -> None:
    run_sql(postgres_url, "CREATE TABLE recipes (name text)", "INSERT INTO recipes VALUES ('soup')")
    assert "has tables, but none of rnnlab's" in refusal(postgres_url, **mode)
    run_sql(postgres_url, "CREATE TABLE meta (key text, value text)", "INSERT INTO meta VALUES ('schema_version', '1')")
    assert "has tables, but none of rnnlab's" in refusal(postgres_url, **mode)
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        tables = connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).all()
    engine.dispose()
    assert sorted(tables) == ["meta", "recipes"]


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_newer_schema_is_refused(postgres_url: str, engine: Engine, mode: dict[str, bool]) -> None:
    run_sql(postgres_url, "UPDATE meta SET value = '77' WHERE key = 'schema_version'")
    assert "was written by a newer rnnlab (schema 77, this rnnlab supports" in refusal(postgres_url, **mode)


@pytest.mark.parametrize("mode", MODES[1:], ids=str)
def test_an_empty_database_is_not_filled_by_looking(postgres_url: str, mode: dict[str, bool]) -> None:
    for _ in range(2):
        assert "no job database at postgresql://rnnlab@" in refusal(postgres_url, **mode)


@pytest.mark.parametrize(
    ("change", "message_part"),
    [
        ({"database": "nosuch"}, 'database "nosuch" does not exist'),
        ({"username": "stranger", "password": "secret"}, 'role "stranger" does not exist'),
        ({"host": "127.0.0.1", "port": 1, "password": "secret", "query": {}}, "cannot be reached"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(
    postgres_url: str, change: dict[str, object], message_part: str
) -> None:
    url = make_url(postgres_url).set(**change)  # type: ignore[arg-type]
    for mode in MODES:
        message = refusal(url.render_as_string(hide_password=False), **mode)
        assert message_part in message
        assert "check the server and the address" in message


@pytest.mark.parametrize(
    ("option", "message_part"),
    [
        ("foo=bar", "'foo' is not an option of a PostgreSQL address"),
        ("row_factory=1", "'row_factory' is not an option of a PostgreSQL address"),
        ("connect_timeout=abc", "bad value for connect_timeout: 'abc': correct the address"),
        ("connect_timeout=1&connect_timeout=2", "correct the address"),
        ("port=abc", "non-integer port"),
        ("sslmode=abc", 'invalid sslmode value: "abc"'),
    ],
)
def test_an_address_with_a_wrong_option_is_one_line(postgres_url: str, option: str, message_part: str) -> None:
    for mode in MODES:
        message = refusal(f"{postgres_url}&{option}", **mode)
        assert message_part in message
        assert "address" in message


def test_a_database_that_is_removed_or_restored_in_use_is_one_line(postgres_url: str, engine: Engine) -> None:
    store = Store(engine)
    add(store, [new_job(1)])
    calls: list[Callable[[], object]] = [store.jobs, lambda: store.claim("w", 1)]
    for change in ("ALTER TABLE jobs DROP COLUMN wish", "DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
        run_sql(postgres_url, change)
        for call in calls:
            with pytest.raises(DatabaseError, match="was removed or restored while it was in use") as caught:
                call()
            assert not isinstance(caught.value, DatabaseAwayError)
            assert "\n" not in str(caught.value)


def test_a_user_without_permission_to_create_tables_gets_one_line(postgres_url: str) -> None:
    run_sql(postgres_url, "REVOKE CREATE ON SCHEMA public FROM public", "CREATE ROLE guest LOGIN")
    try:
        guest = make_url(postgres_url).set(username="guest").render_as_string()
        assert "denies permission (permission denied" in refusal(guest, create=True)
    finally:
        run_sql(postgres_url, "DROP ROLE guest")


def test_the_short_scheme_is_the_same_database(postgres_url: str, engine: Engine) -> None:
    Store(engine).add_jobs("demo", "{}", "first", [])
    again = open_database(postgres_url.replace("+psycopg", ""), create=False)
    assert Store(again).experiment_names() == ["demo"]
    again.dispose()


def test_the_settings_that_the_promises_rest_on(postgres_url: str, engine: Engine) -> None:
    query = text(
        "SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only'), "
        "current_setting('lock_timeout'), current_setting('synchronous_commit')"
    )
    looking = open_database(postgres_url, create=False, read_only=True, busy_seconds=1.5)
    with write_transaction(engine) as connection:
        assert connection.execute(query).one() == ("read committed", "off", "30s", "on")
    with read_transaction(engine) as connection:
        assert connection.execute(query).one() == ("repeatable read", "on", "30s", "on")
    with write_transaction(looking) as connection:
        assert connection.execute(query).one() == ("read committed", "on", "1500ms", "on")
    looking.dispose()


# Restarts


def test_a_server_that_goes_away_costs_one_call(postgres_server: PostgresServer, engine: Engine) -> None:
    store = Store(engine)
    ids = add(store, [new_job(n) for n in range(3)])
    for crash in (False, True):
        with (
            pytest.raises(DatabaseAwayError, match="cannot be reached") as caught,
            write_transaction(engine) as connection,
        ):
            connection.execute(text("UPDATE jobs SET priority = 9"))
            postgres_server.restart(crash=crash)
            connection.execute(text("UPDATE jobs SET priority = 9"))
        assert "\n" not in str(caught.value)
        assert [job.priority for job in store.jobs()] == [0, 0, 0]
    assert [job.id for job in store.claim(register(store, "w"), 3)] == ids


def test_idle_connections_outlive_a_restart(postgres_server: PostgresServer, engine: Engine) -> None:
    store = Store(engine)
    add(store, [new_job(1)])
    postgres_server.restart()
    time.sleep(0.6)
    assert len(store.claim(register(store, "w"), 3)) == 1


def test_while_the_server_is_down_every_call_says_so(postgres_server: PostgresServer, engine: Engine) -> None:
    store = Store(engine)
    add(store, [new_job(1)])
    postgres_server.stop()
    try:
        for _ in range(3):
            with pytest.raises(DatabaseAwayError, match="cannot be reached") as caught:
                store.pending_count()
            assert "\n" not in str(caught.value)
    finally:
        postgres_server.start()
    assert store.pending_count() == 1


def test_the_heartbeat_outlives_a_restart(postgres_server: PostgresServer, engine: Engine) -> None:
    clock = ManualClock()
    store = Store(engine, lease_seconds=60.0, clock=clock)
    register(store, "me")
    errors: list[Exception] = []
    heartbeat = Heartbeat(store, "me", heartbeat_seconds=0.02, probe_seconds=0.02, on_error=errors.append)
    heartbeat.start()
    try:
        postgres_server.stop(crash=True)
        eventually(lambda: len(errors) >= 3)
        postgres_server.start()
        with suppress(DatabaseAwayError):
            store.pending_count()
        clock.now += 5
        eventually(lambda: store.workers()[0].lease_until == clock.now + 60)
        assert not heartbeat.lost.is_set()
        assert {type(error) for error in errors} == {DatabaseAwayError}
    finally:
        heartbeat.stop()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


# Locks


def test_a_claim_in_progress_neither_blocks_another_nor_leaves_it_empty_handed(engine: Engine) -> None:
    store = Store(engine)
    ids = add(store, [new_job(n, group_key=group) for n, group in enumerate("abbb")])
    register(store, "w")
    impatient = Store(sibling_engine(engine, busy_seconds=0.05))
    with write_transaction(engine) as connection:  # like a claim of the first two jobs
        connection.execute(text("SELECT 1 FROM jobs WHERE id IN (1, 2) FOR UPDATE"))
        assert [job.id for job in impatient.claim("w", 5)] == ids[2:]
    assert [job.id for job in impatient.claim("w", 5)] == ids[:1]
    impatient.engine.dispose()


def test_a_worker_that_is_being_found_dead_claims_nothing(engine: Engine) -> None:
    store = Store(engine)
    add(store, [new_job(1)])
    register(store, "w")
    told: list[object] = []

    def claim() -> None:
        try:
            told.append(store.claim("w", 1))
        except WorkerStoppedError as error:
            told.append(error)

    thread = threading.Thread(target=claim)
    with write_transaction(engine) as connection:
        connection.execute(text("UPDATE workers SET stopped_at = 1 WHERE id = 'w'"))
        thread.start()
        thread.join(0.3)
        assert told == []  # it waits for the other transaction
    thread.join(DEADLINE_SECONDS)
    assert [type(one) for one in told] == [WorkerStoppedError]
    assert store.pending_count() == 1


def test_what_a_worker_claims_while_it_is_found_dead_is_rescued(engine: Engine) -> None:
    store = Store(engine)
    [job_id] = add(store, [new_job(1)])
    register(store, "w")
    rescued: list[int] = []
    thread = threading.Thread(target=lambda: rescued.extend(store.rescue("w", "gone")))
    with write_transaction(engine) as connection:
        values = {"the_worker": "w", "the_limit": 1, "now": 1.0}
        assert len(claim(connection, values, Among.UNSUSPECTED)) == 1
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
    thread.join(DEADLINE_SECONDS)
    assert rescued == [job_id]
    assert store.pending_count() == 1


# Conflicts


def lock_both(engine: Engine, first: int, second: int, meeting: threading.Barrier, tries: list[int]) -> None:
    """Change two jobs in an order that deadlocks with another transaction: one of the two is aborted."""

    def body(connection: Connection) -> None:
        tries.append(first)
        raise_priority = text("UPDATE jobs SET priority = priority + 1 WHERE id = :id")
        connection.execute(raise_priority, {"id": first})
        if tries.count(first) == 1:
            meeting.wait(DEADLINE_SECONDS)
        connection.execute(raise_priority, {"id": second})

    write(engine, body)


def test_a_collision_is_tried_again_and_nothing_is_done_twice(engine: Engine) -> None:
    store = Store(engine)
    a, b = add(store, [new_job(1), new_job(2)])
    meeting, tries = threading.Barrier(2), list[int]()
    threads = [threading.Thread(target=lock_both, args=(engine, *ids, meeting, tries)) for ids in ((a, b), (b, a))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tries) == 3
    assert [job.priority for job in store.jobs()] == [2, 2]


def test_a_second_conflict_is_an_error(engine: Engine) -> None:
    tries: list[int] = []

    def body(connection: Connection) -> None:
        tries.append(1)
        connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'serialization_failure'; END $$")

    with pytest.raises(CollisionError, match="too busy, transactions conflict"):
        write(engine, body)
    assert len(tries) == 2


def test_a_lock_is_not_waited_for_endlessly(engine: Engine) -> None:
    store = Store(engine)
    add(store, [new_job(1)])
    impatient = sibling_engine(engine, busy_seconds=0.05)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("LOCK TABLE experiments IN EXCLUSIVE MODE")
        with pytest.raises(DatabaseAwayError, match="locked by another program"):
            Store(impatient).add_jobs("demo", "{}", "first", [])
    Store(impatient).add_jobs("demo", '{"new":1}', "first", [], instead_of="{}")
    impatient.dispose()


# The helper


def test_without_the_programs_the_tests_are_skipped_but_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(helper, "_FOLDERS", ())
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="initdb and postgres are not installed"):
        skip_or_fail()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="initdb and postgres are not installed"):
        skip_or_fail()
