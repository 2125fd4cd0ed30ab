"""The store under test. A further database is one more value of `database_url`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from rnnlab.queue.database import open_database
from rnnlab.queue.store import Store

from .helpers import ManualClock
from .postgres_server import PostgresServer, why_unavailable


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server that runs for all tests."""
    skip_or_fail()
    with PostgresServer() as server:
        yield server


def skip_or_fail() -> None:
    """Skip the test where no server can be started; but fail it in CI, which has to test on one."""
    reason = why_unavailable()
    if reason is not None:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to test on PostgreSQL: {reason}")
        pytest.skip(f"no PostgreSQL: {reason}")


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address at which there is no job database yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'rnnlab.db'}"
    return str(request.getfixturevalue("postgres_url"))


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
