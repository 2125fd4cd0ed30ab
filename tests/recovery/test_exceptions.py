"""Errors of one job, or its loss to another worker, affect only that job; its neighbors continue undisturbed."""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnlab.errors import WorkerStoppedError
from rnnlab.files import checkpoint_name, sha256_hex
from rnnlab.queue.claim_statements import Among
from rnnlab.queue.job import Claim, Status, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.context import TrainingContext
from rnnlab.training.evaluation.final_losses import final_losses
from rnnlab.training.run_state import RunState, fresh_state
from rnnlab.worker import Worker
from tests.recovery.harness import (
    BLOCK_STEPS,
    SHORT,
    SHORT_PART,
    Outcome,
    Site,
    View,
    assert_done_once,
    assert_same_bits,
    experiment_file,
    wait_for,
)

GUILTY = {"use_state_gate": True, "use_output_gate": False}


def _guilty(config: RunConfig) -> bool:
    return all(config.settings[name] == value for name, value in GUILTY.items())


def _raise_in_training(patch: pytest.MonkeyPatch) -> None:
    real = Cohort.run_block

    def run_block(self: Cohort, *arguments: Any) -> int:
        if any(_guilty(member.config) for member in self.members()) and self.steps[0] >= 2 * BLOCK_STEPS:
            raise RuntimeError("boom")
        return real(self, *arguments)

    patch.setattr(Cohort, "run_block", run_block)


def _raise_in_the_middle_of_a_block(patch: pytest.MonkeyPatch) -> None:
    real = Cohort._run_steps
    calls: list[int] = []

    def steps(self: Cohort, *arguments: Any) -> None:
        if any(_guilty(member.config) for member in self.members()):
            calls.append(1)
            if len(calls) > 50:
                raise RuntimeError("boom")
        real(self, *arguments)

    patch.setattr("rnnlab.training.cohort._CALL_SECONDS", 0.0)  # one step a call
    patch.setattr(Cohort, "_run_steps", steps)


def _raise_in_building(patch: pytest.MonkeyPatch) -> None:
    real = Cohort.__init__

    def build(self: Cohort, members: list[Member], *arguments: Any) -> None:
        if any(_guilty(member.config) for member in members):
            raise RuntimeError("boom")
        real(self, members, *arguments)

    patch.setattr(Cohort, "__init__", build)


def _raise_in_beginning(patch: pytest.MonkeyPatch) -> None:
    def begin(config: RunConfig, vocabulary_size: int) -> RunState:
        if _guilty(config):
            raise RuntimeError("boom")
        return fresh_state(config, vocabulary_size)

    patch.setattr("rnnlab.training.context.fresh_state", begin)


def _raise_in_evaluation(patch: pytest.MonkeyPatch) -> None:
    def evaluate(configs: list[RunConfig], *arguments: Any) -> list[dict[str, float]]:
        if any(_guilty(config) for config in configs):
            raise RuntimeError("boom")
        return final_losses(configs, *arguments)

    patch.setattr("rnnlab.training.context.final_losses", evaluate)


@pytest.mark.parametrize(
    "sabotage",
    [
        _raise_in_training,
        _raise_in_the_middle_of_a_block,
        _raise_in_building,
        _raise_in_beginning,
        _raise_in_evaluation,
    ],
)
def test_only_the_guilty_job_fails(
    site: Site,
    short_reference: Outcome,
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[pytest.MonkeyPatch], None],
) -> None:
    with monkeypatch.context() as patch:
        sabotage(patch)
        view = site.init(SHORT_PART).train(checkpoint_seconds=0)

    guilty = site.job(**GUILTY)
    assert site.jobs(Status.FAILED) == [guilty]
    for account in (guilty.error or "", site.log(guilty)):
        assert "Traceback (most recent call last)" in account
        assert account.rstrip().endswith("RuntimeError: boom")
    assert f"job {guilty.id} failed: RuntimeError: boom" in view.text
    neighbours = site.jobs(Status.DONE)
    assert len(neighbours) == 3
    assert_same_bits(site, short_reference, neighbours)

    # Once the fault is fixed, the failed job resumes from its checkpoint.
    assert site.store().retry_failed() == 1
    site.train()
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_a_broken_device_stops_the_worker_and_fails_no_job(
    site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(self: Cohort, *_: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCompile with ...")

    def refuse(self: Cohort, *_: object) -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    with site.init(SHORT_PART).worker(view := View(), checkpoint_seconds=0) as worker, monkeypatch.context() as patch:

        def on_block() -> None:
            if len(view.blocks) == 2:  # from now on
                patch.setattr(Cohort, "_run_steps", break_down)
                patch.setattr(Cohort, "__init__", refuse)

        view.on_block = on_block
        with pytest.raises(WorkerStoppedError, match=r"device cpu failed \(CUDA error: an illegal memory access"):
            worker.run()
    assert [(job.status, job.step, job.deaths) for job in site.jobs()] == [(Status.PENDING, 2 * BLOCK_STEPS, 0)] * 4

    site.train()
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_divergence_is_a_result(
    new_site: Callable[[], Site], short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(config: RunConfig, vocabulary_size: int) -> RunState:
        state = fresh_state(config, vocabulary_size)
        if _guilty(config):
            state.parameters["embed.weight"][ord("S")] = float("nan")  # takes effect at the first S
        return state

    monkeypatch.setattr("rnnlab.training.context.fresh_state", begin)
    together, alone = new_site().init(SHORT_PART), new_site().init(SHORT_PART)
    # The sweep is stopped and resumed in the middle.
    first, view = together.train(blocks=2, checkpoint_seconds=0), together.train(checkpoint_seconds=0)
    alone.train(cohort_size=1)
    for site in (together, alone):
        assert_done_once(site)
        diverged = site.job(**GUILTY)
        assert diverged.result is not None
        assert diverged.result["diverged_at_step"] == diverged.step == 52  # the first S is the 52nd symbol
        assert (diverged.result["checkpoint"], diverged.result["validation_loss"]) == (None, None)
        assert [path.name for path in site.run_dir(diverged).iterdir()] == ["log.txt"]
        curve = site.reader.curve(diverged.id)
        assert curve is not None
        assert curve.steps == [25, 50]
        assert_same_bits(site, short_reference, [job for job in site.jobs() if job.id != diverged.id])
    assert together.reader.curve(together.job(**GUILTY).id) == alone.reader.curve(alone.job(**GUILTY).id)
    assert together.job(**GUILTY).id not in first.done
    assert together.job(**GUILTY).id in view.done


@pytest.mark.parametrize(("at_block", "checkpoint_seconds"), [(2, 0), (7, 60)])
def test_a_job_that_was_taken_over_is_left_alone(
    site: Site, short_reference: Outcome, at_block: int, checkpoint_seconds: float
) -> None:
    """Noticed at the next checkpoint (after block 2), or at the commit of the finished job (after block 8)."""
    store = site.init(SHORT_PART).store()
    victim = site.jobs()[0].id
    taken: list[Claim] = []
    view = View()

    def on_block() -> None:
        if len(view.blocks) == at_block:
            taken.append(_take_over(store, victim))

    view.on_block = on_block
    with site.worker(view, checkpoint_seconds=checkpoint_seconds) as worker, _running(worker):
        wait_for("the job to be taken over", lambda: taken)
        wait_for("the worker to notice", lambda: f"job {victim} was taken over" in view.text)
        wait_for("the neighbours to be done", lambda: len(site.jobs(Status.DONE)) == 3)
        assert site.reader.held_by(taken[0].worker_id) == taken
        store.release(taken)
        wait_for("the job to come back and be done", lambda: len(site.jobs(Status.DONE)) == 4)
    assert [job.epoch for job in site.jobs()] == [3, 1, 1, 1]
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_a_worker_that_was_taken_for_dead_writes_nothing_more_and_carries_on(
    site: Site, short_reference: Outcome
) -> None:
    store = site.init(SHORT_PART).store()
    view = View()
    dead: list[str] = []
    with site.worker(view, checkpoint_seconds=0) as worker:

        def on_block() -> None:
            if len(view.blocks) == 2:
                (record,) = site.reader.workers(alive_only=True)
                dead.append(record.id)
                assert len(store.rescue(record.id, "of a test")) == 4

        view.on_block = on_block
        worker.run()
    assert view.text.count("left to its new owner") == 4  # a checkpoint was refused
    assert "this worker continues with other jobs" in view.text
    # Under another id, from the checkpoint of the first block, or of the second if it was committed in time.
    assert {job.worker_id for job in site.jobs()}.isdisjoint(dead)
    assert [job.epoch for job in site.jobs()] == [2] * 4
    log = site.log(site.jobs()[0])
    assert f"claim 2 by worker {site.jobs()[0].worker_id} on cpu, " in log
    assert any(f" kernels: step {blocks * BLOCK_STEPS}" in log for blocks in (1, 2))
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_a_member_that_turns_out_to_be_done_when_its_cohort_breaks_is_committed(
    site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its former owner, which was declared dead, had written the final checkpoint after all."""
    late = site.init(SHORT_PART).jobs()[0]
    real = Cohort.run_block
    steps_made: list[int] = []

    def run_block(self: Cohort, *arguments: Any) -> int:
        if len(steps_made) == 1:
            steps_made.append(0)
            path = site.run_dir(late) / checkpoint_name(late.epoch, late.target_steps)
            path.write_bytes(short_reference.checkpoints[late.config_hash])
            raise RuntimeError("boom")
        steps_made.append(real(self, *arguments))
        return steps_made[-1]

    monkeypatch.setattr(Cohort, "run_block", run_block)
    view = site.train()
    assert "a cohort of 4 jobs raised an exception; each job continues alone" in view.text
    assert view.done[0] == late.id
    assert {job.failures for job in site.jobs()} == {0}
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_max_jobs(site: Site, short_reference: Outcome) -> None:
    view = site.init(SHORT).train(max_jobs=5, cohort_size=3)
    assert len(view.done) == 5
    assert max(view.blocks) == 3
    done = site.jobs(Status.DONE)
    assert sorted(view.done) == [job.id for job in done]
    assert {job.epoch for job in site.jobs(Status.PENDING)} == {0}
    assert_same_bits(site, short_reference, done)


def test_watch_waits_for_more(site: Site, short_reference: Outcome) -> None:
    site.init(experiment_file(windows=(2,), old_states=(False,)))
    with site.worker(View(), watch=True) as worker, _running(worker) as thread:
        wait_for("the first jobs", lambda: len(site.jobs(Status.DONE)) == 4)
        time.sleep(1.0)
        assert thread.is_alive()
        site.init(experiment_file(windows=(2, 3), old_states=(False,)))
        wait_for("the jobs that were added", lambda: len(site.jobs(Status.DONE)) == 8)
    assert_done_once(site)
    assert_same_bits(site, short_reference)


@pytest.mark.parametrize("processes", [1, 2])
def test_without_the_text_nothing_is_begun(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    text = tmp_path / "letters.txt"
    text.write_text("abcdefghijklmnopqrstuvwxyz\n" * 1000, encoding="utf-8")
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "here"))
    site.init(experiment_file(corpus=str(text)))
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "another machine"))
    worker = site.start("--processes", str(processes))
    assert worker.wait() == 2
    lines = [line for line in worker.messages.splitlines() if "0 jobs finished here" not in line]
    assert len(lines) == processes  # each worker reports it once
    digest = sha256_hex(text.read_bytes())[:12]
    assert all(
        f"rnnlab: the text of corpus 'letters' (sha256 {digest}) is not on this machine" in line for line in lines
    )
    assert {job.status for job in site.jobs()} == {Status.PENDING}
    assert {job.deaths for job in site.jobs()} == {0}
    assert not site.reader.workers(alive_only=True)


def test_a_held_out_loss_that_is_not_finite_is_no_loss(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    results = TrainingContext.results

    def overflow(self: TrainingContext, finished: Sequence[Member], max_threads: int) -> list[dict[str, Any]]:
        return [result | {"test_loss": math.inf} for result in results(self, finished, max_threads)]

    monkeypatch.setattr(TrainingContext, "results", overflow)
    site.init(SHORT_PART).train()
    done = [job.result for job in site.jobs(Status.DONE) if job.result is not None]
    assert len(done) == 4
    assert {result["test_loss"] for result in done} == {None}
    assert all(result["validation_loss"] > 0 for result in done)


@contextmanager
def _running(worker: Worker) -> Iterator[threading.Thread]:
    """Run the worker in a separate thread; stop it at the end."""
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield thread
    finally:
        worker.stop_requested.set()
        thread.join(60)
    assert not thread.is_alive()


def _take_over(store: Store, job_id: int) -> Claim:
    """Let a worker on another host take the job over."""
    now = time.time()
    store.register_worker(WorkerRecord("other", "elsewhere", "", 1, "cpu", "/nowhere", now, now, now + 600, None))
    before = store.job(job_id)
    assert before is not None
    assert store.release([before.claim]) == [before.claim]
    (job,) = store.claim("other", 1, among=Among.STARTED)
    assert job.id == job_id
    return job.claim
