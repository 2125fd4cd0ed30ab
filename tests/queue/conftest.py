"""The store under test. To test another database system, add a value to `database_url`."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from rnnlab.queue.database import open_database
from rnnlab.queue.store import Store
from tests.support.postgres_server import PostgresServer, why_unavailable
from tests.support.store import ManualClock


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs for all tests."""
    skip_or_fail()
    with PostgresServer() as server:
        yield server


def skip_or_fail() -> None:
    """Skip the test if no server can be started; fail it in CI, which must test on PostgreSQL."""
    reason = why_unavailable()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"CI must test on PostgreSQL: {reason}")
        pytest.skip(f"no PostgreSQL: {reason}")


@pytest.fixture(scope="session")
def _database(postgres_server: PostgresServer) -> str:
    return postgres_server.create_database()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer, _database: str) -> str:
    """The address of an empty PostgreSQL database."""
    postgres_server.empty_database(_database)
    return postgres_server.url(_database)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address at which there is no job database yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'rnnlab.db'}"
    return str(request.getfixturevalue("postgres_url"))


New = Callable[[str], str]


@pytest.fixture
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[New]:
    """Returns the address of another empty database, on the same system as the given one."""
    made: list[str] = []

    def another(url: str) -> str:
        if make_url(url).get_backend_name() == "sqlite":
            return f"sqlite:///{tmp_path / 'another' / 'rnnlab.db'}"
        server: PostgresServer = request.getfixturevalue("postgres_server")
        made.append(server.create_database())
        return server.url(made[-1])

    yield another
    for name in made:
        request.getfixturevalue("postgres_server").drop_database(name)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A fresh database."""
    engine = open_database(database_url, create=True)
    yield engine
    engine.dispose()


@pytest.fixture
def clock() -> ManualClock:
    """The time of the store under test."""
    return ManualClock()


@pytest.fixture
def store(engine: Engine, clock: ManualClock) -> Store:
    """An empty store with a lease of 60 s."""
    return Store(engine, lease_seconds=60.0, clock=clock)
