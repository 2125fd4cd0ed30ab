"""What the view in the terminal is drawn from."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnlab.actions.status import experiment_status, worker_statuses
from rnnlab.actions.watch import BestStory, Watch
from rnnlab.errors import UsageError
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import Plan
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Curve, Job, WorkerRecord
from rnnlab.queue.reader import Improvement
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.settings import CorpusSettings


@pytest.fixture
def claimed(store: Store, small_toml: str) -> list[Job]:
    """The four jobs of an experiment, held by a worker."""
    experiment = parse_experiment(tomllib.loads(small_toml), "x.toml")
    initialize(store, Plan(experiment, CorpusSettings(name="text", sha256="a" * 64)))
    now = store.clock()
    store.register_worker(WorkerRecord("w", "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    found: list[Job] = []
    while some := store.claim("w", 1000):
        found += some
    return sorted(found, key=lambda job: job.id)


def test_the_story_of_the_best_run(store: Store, claimed: list[Job]) -> None:
    watch = Watch(store)
    (view,) = watch.look().experiments
    assert view.story is None

    curve = Curve([0, 10], {"ema_loss": [3.0, 2.5], "learning_rate": [0.1, 0.1]})
    for job, loss in zip(claimed, [2.5, 2.75, 2.0], strict=False):
        store.finish(job.claim, {"min_loss": loss}, 1.0, curve)
    snapshot = watch.look("small")
    (view,) = snapshot.experiments
    # The settings that the grid or a round varies, not those that are fixed.
    assert view.story == BestStory(
        settings={"n_layers": 2, "state_size": 4, "use_forget_gate": False},
        curve=[3.0, 2.5],
        improvements=[Improvement(1, claimed[0].id, 2.5), Improvement(3, claimed[2].id, 2.0)],
        finished=3,
    )
    assert view.status == experiment_status(store, "small")
    assert [worker.id for worker in snapshot.workers] == [worker.id for worker in worker_statuses(store)] == ["w"]


def test_what_only_a_finished_job_changes_is_read_once(
    store: Store, claimed: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    for method in (Store.improvements, Store.lowest):

        def counting(*given: Any, method: Callable[..., Any] = method, **named: Any) -> Any:
            asked.append(method.__name__)
            return method(*given, **named)

        monkeypatch.setattr(Store, method.__name__, counting)
    watch = Watch(store)
    store.finish(claimed[0].claim, {"min_loss": 2.5}, 1.0, Curve())
    first = watch.look()
    store.commit_progress(claimed[1].claim, 10, 1.0, Curve())
    second = watch.look()
    assert asked == ["improvements", "lowest"]
    assert first.experiments[0].story == second.experiments[0].story
    assert first.experiments[0].status.rounds[0].percent < second.experiments[0].status.rounds[0].percent
    store.finish(claimed[1].claim, {"min_loss": 2.75}, 1.0, Curve())
    third = watch.look().experiments[0]
    assert (third.status, third.status.best) == (experiment_status(store, "small"), first.experiments[0].status.best)
    assert asked == ["improvements", "lowest", "improvements", "lowest"]  # the last one is of the line above
    store.finish(claimed[2].claim, {"min_loss": 2.25}, 1.0, Curve())
    best = watch.look().experiments[0].status.best
    assert best is not None
    assert best.value == 2.25


def test_unknown_experiment(store: Store) -> None:
    assert Watch(store).look().experiments == []
    with pytest.raises(UsageError, match=r"^no experiment 'small' in this database"):
        Watch(store).look("small")


def test_watching_changes_no_byte(store: Store, claimed: list[Job], tmp_path: Path) -> None:
    store.finish(claimed[0].claim, {"min_loss": 2.5}, 1.0, Curve())
    store.engine.dispose()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    engine = open_database(Path(str(store.engine.url.database)), create=False, read_only=True)
    assert Watch(Store(engine)).look().experiments[0].story is not None
    engine.dispose()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
