"""Damaged, foreign and missing checkpoints: the worker uses an older one, reports it, and the bits are the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rnnlab.queue.job import Job
from tests.recovery.harness import BLOCK_STEPS, SHORT_PART, Outcome, Site, assert_done_once, assert_same_bits


@pytest.fixture
def halfway(site: Site) -> Site:
    """Four jobs that were stopped after their third block, and have checkpoints of the second and the third."""
    site.init(SHORT_PART).train(blocks=3, checkpoint_seconds=0)
    for job in site.jobs():
        assert [path.name[-13:] for path in site.checkpoints(job)] == ["000000060.rnn", "000000040.rnn"]
    return site


def _tear(path: Path, _other: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _tear_in_the_header(path: Path, _other: Path) -> None:
    path.write_bytes(path.read_bytes()[:30])


def _flip_a_bit(path: Path, _other: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _empty(path: Path, _other: Path) -> None:
    path.write_bytes(b"")


def _put_another_run_there(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_tear, "is truncated"),
        (_tear_in_the_header, "is not a checkpoint"),
        (_flip_a_bit, "is corrupt"),
        (_empty, "is not a checkpoint"),
        (_put_another_run_there, "belongs to another run config"),
    ],
)
def test_a_bad_newest_checkpoint(
    halfway: Site, short_reference: Outcome, damage: Callable[[Path, Path], None], complaint: str
) -> None:
    victim, neighbour, *_ = halfway.jobs()
    newest = halfway.checkpoints(victim)[0]
    damage(newest, halfway.checkpoints(neighbour)[0])

    view = halfway.train()
    assert [str(newest) in text and complaint in text for text in view.messages].count(True) == 1, view.text
    assert complaint in halfway.log(victim)
    assert _resumed_at(halfway, victim) == [0, 40]
    assert _resumed_at(halfway, neighbour) == [0, 60]
    assert_done_once(halfway)
    assert_same_bits(halfway, short_reference)


def test_no_checkpoint_left(halfway: Site, short_reference: Outcome) -> None:
    victim, neighbour, *_ = halfway.jobs()
    for path in halfway.checkpoints(victim):
        path.unlink()

    worker = halfway.finish()
    line = (
        f"job {victim.id} was at step 60 but has no intact checkpoint in {halfway.run_dir(victim)}: "
        "it starts from the beginning"
    )
    assert line in worker.messages.splitlines()
    assert line in halfway.log(victim)
    assert _resumed_at(halfway, victim) == [0, 0]
    assert _resumed_at(halfway, neighbour) == [0, 60]
    assert_done_once(halfway)
    assert_same_bits(halfway, short_reference)


def test_the_whole_run_folder_is_gone(halfway: Site, short_reference: Outcome) -> None:
    victim = halfway.jobs()[0]
    for path in halfway.run_dir(victim).iterdir():
        path.unlink()
    halfway.run_dir(victim).rmdir()

    assert "it starts from the beginning" in halfway.train().text
    assert_done_once(halfway)
    assert_same_bits(halfway, short_reference)


def test_damaged_checkpoints_do_not_crowd_out_whole_ones(halfway: Site, short_reference: Outcome) -> None:
    victim = halfway.jobs()[0]
    for path in halfway.checkpoints(victim):
        _tear(path, path)
    # Starting from the beginning three times would be no progress: the checkpoint after the first block must exist.
    halfway.train(blocks=1)
    halfway.train(blocks=1)
    halfway.train()
    assert _resumed_at(halfway, victim) == [0, 0, BLOCK_STEPS, 2 * BLOCK_STEPS]
    assert_done_once(halfway)
    assert_same_bits(halfway, short_reference)


def test_what_a_kill_in_mid_write_leaves_is_harmless_and_goes(halfway: Site, short_reference: Outcome) -> None:
    for job in halfway.jobs():
        newest = halfway.checkpoints(job)[0]
        newest.with_name(f".{newest.name}.4711.tmp").write_bytes(newest.read_bytes()[:1000])
    assert halfway.train().messages == []
    assert_done_once(halfway)
    assert_same_bits(halfway, short_reference)


def test_a_kill_between_final_checkpoint_and_commit(
    site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("rnnlab.queue.store.Store.finish_many", kill)
        with pytest.raises(Killed):
            site.init(SHORT_PART).train()
    finished = site.jobs()
    for job in finished:
        assert site.checkpoints(job)[0].name.endswith(f"s{job.target_steps:09d}.rnn")

    assert site.train().blocks == []  # no job needed training
    for job in finished:
        assert _resumed_at(site, job) == [0, job.target_steps]
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def _resumed_at(site: Site, job: Job) -> list[int]:
    """The step at which each claim of the job began, from its log."""
    lines = [line for line in site.log(job).splitlines() if " claim " in line]
    return [int(line.rpartition(" step ")[2]) for line in lines]
