"""A full disk costs a checkpoint, then the worker, but no job."""

import errno
import os
from pathlib import Path

import pytest

from rnnlab.errors import WorkerStoppedError
from rnnlab.files import atomic_write, parse_checkpoint_name
from rnnlab.queue.job import Status
from tests.recovery.disks import fill, read_only, small_disk
from tests.recovery.harness import (
    LONG_PART,
    SHORT_PART,
    WINDOW_STEPS,
    Outcome,
    Site,
    assert_done_once,
    assert_same_bits,
    wait_for,
)


def _full_disk(patch: pytest.MonkeyPatch, *, final: bool) -> None:
    """No space for final checkpoints, or for all others."""

    def write(path: Path, data: bytes) -> None:
        parsed = parse_checkpoint_name(path.name)
        assert parsed is not None
        if (parsed[1] == 3 * WINDOW_STEPS) == final:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        atomic_write(path, data)

    patch.setattr("rnnlab.training.checkpoint.atomic_write", write)


def test_no_space_for_a_checkpoint(site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    _full_disk(monkeypatch, final=False)
    view = site.init(SHORT_PART).train(checkpoint_seconds=0)
    complaint = f"cannot write checkpoints of 4 jobs in {site.workspace.results_dir} (No space left on device)"
    assert view.messages
    assert all(text.startswith(complaint) for text in view.messages)
    assert {job.epoch for job in site.jobs()} == {1}
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_no_space_for_the_last_checkpoint_of_a_graceful_stop(
    site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        _full_disk(patch, final=False)
        view = site.init(SHORT_PART).train(blocks=2)
    assert "4 jobs are released" in view.messages[-1]
    assert "except 4 that have only" in view.messages[-1]
    assert {(job.status, job.step) for job in site.jobs()} == {(Status.PENDING, 0)}

    assert site.train().messages == []  # there was no checkpoint, so none is missing
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_no_space_for_a_final_checkpoint(site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _full_disk(patch, final=True)
        with pytest.raises(WorkerStoppedError, match=r"No space left on device.*free some space") as caught:
            site.init(SHORT_PART).train(checkpoint_seconds=0)
    assert caught.value.exit_code == 1
    assert {job.status for job in site.jobs()} == {Status.PENDING}
    assert {job.deaths for job in site.jobs()} == {0}
    assert not site.reader.workers(alive_only=True)
    for job in site.jobs():
        assert [path.name[-13:] for path in site.checkpoints(job)] == ["000000120.rnn", "000000100.rnn"]

    site.train()
    assert {job.epoch for job in site.jobs()} == {2}
    assert_done_once(site)
    assert_same_bits(site, short_reference)


@pytest.mark.parametrize("table_too", [False, True], ids=["run folders", "run folders and job table"])
def test_a_disk_that_fills_up_in_mid_run(tmp_path: Path, long_reference: Outcome, table_too: bool) -> None:
    with small_disk(tmp_path / "disk", megabytes=16) as disk:
        results = disk / "results"
        site = Site(tmp_path / "site", results=results, database=None if table_too else tmp_path / "table.db")
        try:
            _fill_up_and_go_on(site.init(LONG_PART), disk, long_reference)
        finally:
            site.close()


def _fill_up_and_go_on(site: Site, disk: Path, reference: Outcome) -> None:
    worker = site.start("--checkpoint-seconds", "0.2")
    wait_for("a worker in mid-run", lambda: site.midway(1))
    ballast = disk / "ballast"
    fill(ballast)
    assert worker.wait() in (1, 2), worker.messages
    assert "Traceback" not in worker.messages
    last = worker.messages.splitlines()[-1]
    assert last.startswith("rnnlab: ")
    assert "No space left on device" in last or "the disk is full" in last, last
    assert len(site.jobs(Status.DONE)) < 8
    assert not list(disk.rglob("*.tmp"))

    ballast.unlink()
    site.finish()
    assert_done_once(site)
    assert_same_bits(site, reference)


def test_a_folder_that_is_read_only_for_a_while(tmp_path: Path, long_reference: Outcome) -> None:
    with small_disk(tmp_path / "disk", megabytes=16) as disk:
        site = Site(tmp_path / "site", results=disk / "results", database=tmp_path / "table.db")
        try:
            worker = site.init(LONG_PART).start("--checkpoint-seconds", "0.2")
            wait_for("a worker in mid-run", lambda: site.midway(1))
            with read_only(site.run_dir(site.jobs()[0]).parent):
                wait_for("a complaint", lambda: "Read-only file system" in worker.messages or not worker.runs)
            assert worker.wait() in (0, 1), worker.messages
            assert "Traceback" not in worker.messages
            site.finish()
            assert_done_once(site)
            assert_same_bits(site, long_reference)
        finally:
            site.close()
