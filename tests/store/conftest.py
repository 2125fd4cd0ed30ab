"""The store under test. A further database is one more value of `database_url`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from rnnlab.queue.database import open_database
from rnnlab.queue.store import Store

from .helpers import ManualClock


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address at which there is no database yet."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path / 'rnnlab.db'}"


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
