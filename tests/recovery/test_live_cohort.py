"""Jobs at different steps share a cohort, leave it and join it; each gets the same bits as when trained alone."""

import math
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rnnlab.queue.job import Status
from rnnlab.training import checkpoint
from tests.recovery.harness import (
    BLOCK_STEPS,
    SHORT,
    SHORT_PART,
    WINDOW_STEPS,
    Outcome,
    Site,
    View,
    assert_done_once,
    assert_same_bits,
)


def test_resumed_and_fresh_jobs_share_a_cohort(site: Site, short_reference: Outcome) -> None:
    site.init(SHORT_PART)
    site.train(blocks=1, max_jobs=1)  # one job is a block ahead of two others, and the last is not started
    site.train(blocks=2, max_jobs=3)
    assert [job.step for job in site.jobs()] == [3 * BLOCK_STEPS, 2 * BLOCK_STEPS, 2 * BLOCK_STEPS, 0]
    site.init(SHORT)

    steps = _train_and_watch(site)
    assert sorted(steps[0]) == [0] * 13 + [2 * BLOCK_STEPS, 2 * BLOCK_STEPS, 3 * BLOCK_STEPS]
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_jobs_leave_and_join_at_a_block_boundary(site: Site, short_reference: Outcome) -> None:
    steps = _train_and_watch(site.init(SHORT), cohort_size=12)
    assert steps[0] == [0] * 12
    # Eight jobs finished after two windows, in the fifth block: four continue, and the last four have joined them.
    assert sorted(steps[5]) == [0] * 4 + [2 * WINDOW_STEPS] * 4
    assert {job.epoch for job in site.jobs()} == {1}
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_begun_jobs_grow_the_cohort_beyond_its_size(site: Site, short_reference: Outcome) -> None:
    site.init(SHORT)
    site.train(blocks=2, cohort_size=10)
    steps = _train_and_watch(site, cohort_size=4)
    assert max(map(len, steps)) == 10
    assert len(steps[-1]) <= 4
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_joining_does_not_put_off_the_next_checkpoint(site: Site) -> None:
    dues: list[float] = []
    view = View()
    with site.init(SHORT).worker(view, cohort_size=12, checkpoint_seconds=1000.0) as worker:
        view.on_block = lambda: dues.extend(cohort.checkpoint_at for cohort in worker.active_cohorts)
        worker.run()
    assert len(site.jobs(Status.DONE)) == 16
    assert len(view.blocks) > 2
    assert len(set(dues)) == 1


def test_training_goes_on_while_checkpoints_are_written(
    site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, write, third_block, blocks_before = View(), checkpoint.write, threading.Event(), list[int]()

    def slow_write(*arguments: Any) -> Path:
        assert third_block.wait(timeout=60)
        blocks_before.append(len(view.blocks))
        return write(*arguments)

    monkeypatch.setattr(checkpoint, "write", slow_write)
    with site.init(SHORT_PART).worker(view, checkpoint_seconds=0) as worker:

        def on_block() -> None:
            if len(view.blocks) == 2:  # the checkpoints of the first block are being written, and no others
                (active,) = worker.active_cohorts
                active.checkpoint_at = math.inf
            if len(view.blocks) == 3:
                third_block.set()

        view.on_block = on_block
        worker.run()
    assert blocks_before[0] >= 3
    assert view.steps[:3] == [BLOCK_STEPS] * 3
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_a_stop_while_checkpoints_are_written_releases_all_jobs_as_they_stand(
    site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = checkpoint.write

    def slow_write(*arguments: Any) -> Path:
        time.sleep(0.2)
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", slow_write)
        view = site.init(SHORT_PART).train(blocks=2, checkpoint_seconds=0)
    assert "4 jobs are released" in view.messages[-1]
    assert [(job.status, job.step) for job in site.jobs()] == [(Status.PENDING, 2 * BLOCK_STEPS)] * 4
    site.train()
    assert {job.epoch for job in site.jobs()} == {2}
    assert_done_once(site)
    assert_same_bits(site, short_reference)


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1000.0], ids=["in training", "the last one"])
def test_a_checkpoint_that_raises_an_exception_fails_its_job_alone(
    checkpoint_seconds: float, site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, guilty = checkpoint.write, site.init(SHORT_PART).jobs()[1]

    def bad_write(run_dir: Path, *arguments: Any) -> Path:
        if guilty.config_hash.startswith(run_dir.name):
            raise RuntimeError("boom")
        return write(run_dir, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write", bad_write)
        view = site.train(checkpoint_seconds=checkpoint_seconds)
    assert [job.id for job in site.jobs(Status.FAILED)] == [guilty.id]
    assert f"job {guilty.id} failed: RuntimeError: boom" in view.text
    assert_same_bits(site, short_reference, site.jobs(Status.DONE))
    assert len(site.jobs(Status.DONE)) == 3
    assert site.store().retry_failed() == 1
    site.train()
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def _train_and_watch(site: Site, cohort_size: int = 16) -> list[list[int]]:
    """For each block, the steps of the members of the cohort before it."""
    before: list[list[int]] = []
    view = View()
    with site.worker(view, cohort_size=cohort_size) as worker:

        def on_block() -> None:
            (active,) = worker.active_cohorts
            before.append([step - view.steps[-1] for step in active.cohort.steps])

        view.on_block = on_block
        worker.run()
    return before
