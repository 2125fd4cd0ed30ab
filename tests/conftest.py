"""What holds for all tests, and the fixtures that most of them use."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnlab.queue.database import open_database
from rnnlab.queue.store import Store
from tests.support.experiments import SMALL
from tests.support.paths import REFERENCE, ROOT
from tests.support.quick import is_quick


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests: `pytest -m quick`."""
    for item in items:
        path = item.path.relative_to(ROOT / "tests").as_posix()
        parameters = set(item.name.partition("[")[2].rstrip("]").split("-"))
        fixtures = set(getattr(item, "fixturenames", ()))
        if is_quick(path, parameters, fixtures, {mark.name for mark in item.iter_markers()}):
            item.add_marker("quick")


@pytest.fixture(scope="session", autouse=True)
def _signals_are_heeded() -> None:
    """Processes that tests start, and signal, react as on a terminal, even if a script has started pytest with `&`."""
    for signum, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, handler)


@pytest.fixture
def small_toml() -> str:
    """An experiment of four jobs on the generated text, with two later rounds: four jobs, then six."""
    return SMALL


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of corpora of its own for one test."""
    folder = tmp_path / "data folder"
    monkeypatch.setenv("RNNLAB_DATA", str(folder))
    return folder


@pytest.fixture
def published() -> Path:
    """The folder of dynamics_round1.csv to dynamics_round3.csv."""
    return REFERENCE


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty job table."""
    engine = open_database(tmp_path / "rnnlab.db", create=True)
    yield Store(engine)
    engine.dispose()
