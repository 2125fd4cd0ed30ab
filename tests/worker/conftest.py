"""A job table with jobs of one group, and contexts of worker sessions on it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlab.files import Workspace
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import make_plan
from rnnlab.queue.store import Store
from rnnlab.spec.library import load_experiment
from rnnlab.worker.worker_context import WorkerContext
from tests.support.worker_context import ONE_GROUP, RecordingView, worker_context

Init = Callable[[str], None]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Folders of one test."""
    return Workspace(tmp_path / "results", tmp_path / "plots")


@pytest.fixture
def init(store: Store, tmp_path: Path, data_folder: Path) -> Init:
    """Adds the jobs of an experiment file to the table."""

    def add(text: str) -> None:
        path = tmp_path / "experiment.toml"
        path.write_text(text, encoding="utf-8")
        initialize(store, make_plan(load_experiment(path), None))

    return add


@pytest.fixture
def jobs_in_table(init: Init) -> None:
    """Eight pending jobs of one group."""
    init(ONE_GROUP)


@pytest.fixture
def view() -> RecordingView:
    """What the worker `w` reports."""
    return RecordingView()


@pytest.fixture
def context(store: Store, workspace: Workspace, view: RecordingView, jobs_in_table: None) -> WorkerContext:
    """The context of the worker `w`, with default options."""
    return worker_context(store, workspace, view=view)
