"""Jobs of an experiment are extended all or none, whatever goes wrong."""

import errno
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from rnnlab.actions.extend import EXTENDED_ROUND, Extended, extend
from rnnlab.actions.status import experiment_status, worker_statuses
from rnnlab.errors import DatabaseAwayError, RnnlabError
from rnnlab.files import Workspace, atomic_write, checkpoint_name
from rnnlab.plans.enqueue import initialize, new_jobs
from rnnlab.plans.plan import Plan
from rnnlab.queue.job import Curve, Job
from rnnlab.queue.store import Store
from rnnlab.queue.transactions import write_transaction
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.settings import CorpusSettings
from tests.support.store import register


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "results", tmp_path / "plots")


def plan_of(text: str, name: str = "small") -> Plan:
    experiment = parse_experiment(tomllib.loads(text.replace('name = "small"', f'name = "{name}"', 1)), "x.toml")
    return Plan(experiment, CorpusSettings(name="text", sha256="a" * 64))


def finished(store: Store, workspace: Workspace, text: str, name: str = "small") -> None:
    """The four jobs of an experiment, done, with something in the place of their final checkpoints."""
    plan = plan_of(text, name)
    items = []
    for job in new_jobs(plan.first_round):
        final = workspace.run_dir(name, "explore", job.config_hash) / checkpoint_name(1, job.target_steps)
        atomic_write(final, job.config_hash.encode())
        items.append((job, {"checkpoint": str(final.relative_to(workspace.results_dir))}, 1.0))
    store.add_finished(name, plan.json, "explore", items)


def claim_all(store: Store, worker: str) -> list[Job]:
    """All jobs that wait, by one worker."""
    register(store, worker)
    claimed: list[Job] = []
    while some := store.claim(worker, 1000):
        claimed += some
    return claimed


def laid(workspace: Workspace) -> list[Path]:
    """Everything in the folders of extended jobs, these folders included."""
    return sorted(path for folder in workspace.results_dir.glob(f"*/{EXTENDED_ROUND}") for path in folder.rglob("*"))


def assert_nothing_was_done(store: Store, workspace: Workspace) -> None:
    assert {job.round for job in store.jobs()} == {"explore"}
    assert list(workspace.results_dir.glob(f"*/{EXTENDED_ROUND}")) == []


def test_a_full_disk_is_one_line_and_adds_nothing(
    store: Store, workspace: Workspace, small_toml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(store, workspace, small_toml)
    written: list[Path] = []

    def write(path: Path, data: bytes) -> None:
        if len(written) == 2:
            path.parent.mkdir(parents=True)  # as far as atomic_write gets
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        atomic_write(path, data)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr("rnnlab.actions.extend.atomic_write", write)
        with pytest.raises(RnnlabError, match=r"\(No space left on device\), nothing was added: free some") as caught:
            extend(store, workspace, store.jobs(), 3)
    assert "\n" not in str(caught.value)
    assert_nothing_was_done(store, workspace)
    assert extend(store, workspace, store.jobs(), 3) == Extended(added=4, known=0)
    files = [path for path in laid(workspace) if path.is_file()]
    parents = store.jobs("small", "explore")
    assert sorted(path.read_text() for path in files) == sorted(job.config_hash for job in parents)


def test_a_table_that_takes_only_some_of_them_takes_none(store: Store, workspace: Workspace, small_toml: str) -> None:
    finished(store, workspace, small_toml)
    with write_transaction(store.engine) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER two BEFORE INSERT ON jobs WHEN (SELECT count(*) FROM jobs WHERE round = 'extended') = 2 "
            "BEGIN SELECT RAISE(ABORT, 'no more'); END"
        )
    with pytest.raises(IntegrityError, match="no more"):
        extend(store, workspace, store.jobs(), 3)
    assert_nothing_was_done(store, workspace)


def test_what_was_added_before_keeps_its_checkpoints(
    store: Store, workspace: Workspace, small_toml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of another experiment in the same call, and those of an earlier one."""
    finished(store, workspace, small_toml)
    finished(store, workspace, small_toml, "another")
    extend(store, workspace, store.jobs("small")[:1], 3)
    [before] = [path for path in laid(workspace) if path.is_file()]

    def refuse(experiment: str, *rest: Any, **options: Any) -> int:
        if experiment == "small":
            raise RnnlabError("not now")
        return Store.add_begun(store, experiment, *rest, **options)

    jobs = [*store.jobs("another", "explore"), *store.jobs("small", "explore")]
    monkeypatch.setattr(store, "add_begun", refuse)
    with pytest.raises(RnnlabError, match="not now"):
        extend(store, workspace, jobs, 3)
    assert len(store.jobs("another", EXTENDED_ROUND)) == 4
    assert [path for path in laid(workspace) if path.is_file() and "small" in path.parts] == [before]
    assert len([path for path in laid(workspace) if path.is_file() and "another" in path.parts]) == 4


def test_jobs_that_may_have_been_added_keep_their_checkpoints(
    store: Store, workspace: Workspace, small_toml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks before the answer comes."""
    finished(store, workspace, small_toml)

    def lose_the_answer(*arguments: Any, **options: Any) -> int:
        Store.add_begun(store, *arguments, **options)
        raise DatabaseAwayError("cannot be reached")

    monkeypatch.setattr(store, "add_begun", lose_the_answer)
    with pytest.raises(DatabaseAwayError):
        extend(store, workspace, store.jobs(), 3)
    assert len(store.jobs("small", EXTENDED_ROUND)) == 4
    assert len([path for path in laid(workspace) if path.is_file()]) == 4


def test_extended_jobs_do_not_seem_faster_than_they_are(store: Store, workspace: Workspace, small_toml: str) -> None:
    """All train at 2 steps a second; what is left to them is what their parents have not done."""
    initialize(store, plan_of(small_toml))
    for job in claim_all(store, "first"):
        final = workspace.run_dir("small", "explore", job.config_hash) / checkpoint_name(1, job.target_steps)
        atomic_write(final, b"weights")
        result = {"min_loss": 2.0, "checkpoint": str(final.relative_to(workspace.results_dir))}
        store.finish(job.claim, result, job.target_steps / 2, Curve())
    store.stop_worker("first")
    extend(store, workspace, store.jobs(), 3)
    lengths = {job.round: job.target_steps for job in store.jobs()}
    further = lengths[EXTENDED_ROUND] - lengths["explore"]
    assert experiment_status(store, "small").seconds_left == pytest.approx(4 * further / 2)

    one, two, *_ = claim_all(store, "second")
    assert (one.step, one.seconds) == (lengths["explore"], lengths["explore"] / 2)
    store.commit_progress(one.claim, one.step + further // 2, one.seconds + further // 2 / 2, Curve())
    store.finish(two.claim, {"min_loss": 1.0}, two.seconds + further / 2, Curve())
    status = experiment_status(store, "small")
    assert status.steps_per_second == pytest.approx(2.0)
    assert status.seconds_left == pytest.approx((3 * further - further // 2) / 2)
    assert [worker.steps_per_second for worker in worker_statuses(store)] == [pytest.approx(2.0)]
