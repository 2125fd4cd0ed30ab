"""From a claimed job to its run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rnnlab.actions.prepare import prepare
from rnnlab.errors import CellError, CheckpointError, SpecError, UsageError
from rnnlab.files import Workspace
from rnnlab.models import own_cells
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.queue.job import Curve, Job
from rnnlab.queue.store import Store
from rnnlab.training import checkpoint
from rnnlab.worker.job_loader import JobLoader
from rnnlab.worker.worker_context import WorkerContext
from tests.support.paths import ROOT
from tests.support.store import register
from tests.support.worker_context import ONE_GROUP, RecordingView, worker_context
from tests.worker.conftest import Init

CHARACTERS = f'tokenizer = {{ kind = "characters" }}\n{ONE_GROUP}'
OWN_CELL = """\
name = "own"
corpus = "generated"
[model]
cell = "minimal.py:Minimal"
embedding_size = 4
[training]
regime = "bptt"
batch_size = 3
block_size = 5
iterations = 4
learning_rate = 1e-2
[grid]
state_size = [4]
"""


def claimed(store: Store, context: WorkerContext) -> Job:
    (job,) = store.claim(context.worker_id, 1)
    return job


def test_a_loaded_job_has_its_config_folder_and_time(
    store: Store, workspace: Workspace, context: WorkerContext
) -> None:
    job = replace(claimed(store, context), seconds=12.5)
    running = JobLoader(context).load(job)
    assert running.job == job
    assert running.config == config_of(job)
    assert running.config.hash == job.config_hash
    assert running.run_dir == workspace.results_dir / "small" / "explore" / job.config_hash[:16]
    assert running.seconds == 12.5
    assert not running.run_dir.exists()


def test_a_payload_with_an_unknown_setting_is_refused(store: Store, context: WorkerContext) -> None:
    job = claimed(store, context)
    document = json.loads(job.payload)
    document["model"]["not_yet_invented"] = 1
    with pytest.raises(SpecError, match="not_yet_invented"):
        JobLoader(context).load(replace(job, payload=json.dumps(document)))


def test_the_vocabulary_is_read_from_the_table_once(
    store: Store, workspace: Workspace, init: Init, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(CHARACTERS)
    context = worker_context(store, workspace)
    reads: list[str] = []
    read = store.experiment

    def counted(name: str) -> str | None:
        reads.append(name)
        return read(name)

    monkeypatch.setattr(store, "experiment", counted)
    loader = JobLoader(context)
    jobs = store.claim(context.worker_id, 3)
    assert context.training.vocabulary(config_of(jobs[0])) is None
    running = [loader.load(job) for job in jobs]
    assert reads == ["small"]
    vocabulary = context.training.vocabulary(running[0].config)
    assert vocabulary is not None
    assert vocabulary == stored_plan(store, "small").vocabulary
    assert loader.resume(running[0]).member.state.step == 0


def test_a_missing_vocabulary_ends_the_worker_and_not_the_job(store: Store, workspace: Workspace, init: Init) -> None:
    init(CHARACTERS)
    stored = store.experiment("small")
    assert stored is not None
    store.add_jobs("small", json.dumps(json.loads(stored) | {"vocabulary": None}), "explore", [], instead_of=stored)
    context = worker_context(store, workspace)
    loader = JobLoader(context)
    running = loader.load(claimed(store, context))
    assert context.training.vocabulary(running.config) is None
    with pytest.raises(UsageError, match="vocabulary"):  # the scheduler lets errors of this kind through
        loader.resume(running)


def test_the_code_of_an_own_cell_is_executed_only_with_permission(
    store: Store, workspace: Workspace, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "minimal.py").write_text((ROOT / "docs" / "examples" / "minimal_cell.py").read_text())
    (tmp_path / "own.toml").write_text(OWN_CELL)
    monkeypatch.setattr(own_cells, "_loaded", {})
    initialize(store, prepare(str(tmp_path / "own.toml"), None, None, allow_code=True))
    monkeypatch.setattr(own_cells, "_loaded", {})  # as in another process
    context = worker_context(store, workspace)
    job = claimed(store, context)
    with pytest.raises(CellError, match=r"cell Minimal@\w+ from minimal\.py is code"):
        JobLoader(context).load(job)
    assert own_cells.needs_code(config_of(job).model.cell)
    allowed = replace(context, options=replace(context.options, allow_code=True))
    assert JobLoader(allowed).load(job).config.model.cell == config_of(job).model.cell
    assert not own_cells.needs_code(config_of(job).model.cell)


def test_a_job_without_a_checkpoint_starts_at_step_0(store: Store, context: WorkerContext, view: RecordingView) -> None:
    loader = JobLoader(context)
    running = loader.load(claimed(store, context))
    snapshot = loader.resume(running)
    assert snapshot.running is running
    assert (snapshot.member.config, snapshot.member.state.step) == (running.config, 0)
    assert not snapshot.is_finished
    assert view.messages == []
    (line,) = (running.run_dir / "log.txt").read_text().splitlines()
    assert "claim 1 by worker w on cpu, " in line
    assert line.endswith(" kernels: step 0")


def test_a_job_resumes_from_its_newest_checkpoint(store: Store, context: WorkerContext) -> None:
    loader = JobLoader(context)
    running = loader.load(claimed(store, context))
    fresh = loader.resume(running).member.state
    for step in (5, 10):
        checkpoint.write(running.run_dir, running.config, replace(fresh, step=step), running.job.epoch, None)
    assert loader.resume(running).member.state.step == 10


def test_a_lost_checkpoint_of_this_host_means_starting_from_the_beginning(
    store: Store, context: WorkerContext, view: RecordingView
) -> None:
    job = claimed(store, context)
    store.commit_progress(job.claim, 10, 1.0, Curve())
    store.release([job.claim])
    (again,) = store.claim(context.worker_id, 1)
    loader = JobLoader(context)
    running = loader.load(again)
    assert loader.resume(running).member.state.step == 0
    message = f"job 1 was at step 10 but has no intact checkpoint in {running.run_dir}: it starts from the beginning"
    assert view.messages == [message]
    assert message in (running.run_dir / "log.txt").read_text()


def test_an_unseen_checkpoint_of_another_host_is_refused(store: Store, context: WorkerContext) -> None:
    register(store, "other", host="elsewhere")
    (job,) = store.claim("other", 1)
    store.commit_progress(job.claim, 10, 1.0, Curve())
    store.release([job.claim])
    loader = JobLoader(context)
    for _ in range(2):  # the second time the last owner is this worker
        (again,) = store.claim(context.worker_id, 1)
        with pytest.raises(CheckpointError, match=r"^a worker on host elsewhere has trained job 1 to step 10, but"):
            loader.resume(loader.load(again))
        store.release([again.claim])
