"""Where files lie, and that a reader never sees half of one."""

import os
from pathlib import Path

import pytest

from rnnlab.errors import UsageError
from rnnlab.files import (
    Workspace,
    atomic_write,
    atomic_write_text,
    checkpoint_name,
    ensure_writable_dir,
    parse_checkpoint_name,
    sha256_hex,
)


def test_layout() -> None:
    workspace = Workspace(Path("/r"), Path("/p"))
    assert workspace.default_database == Path("/r/rnnlab.db")
    assert workspace.workers_dir == Path("/r/workers")
    assert workspace.run_dir("demo", "explore", "0123456789abcdef" * 4) == Path("/r/demo/explore/0123456789abcdef")
    assert workspace.plot_dir("demo") == Path("/p/demo")


def test_checkpoint_names_sort_by_claim_then_step() -> None:
    places = [(1, 5), (1, 10), (2, 1), (10, 999_999_999), (1_000_000, 0)]
    names = [checkpoint_name(epoch, step) for epoch, step in places]
    assert [parse_checkpoint_name(name) for name in names] == places
    assert sorted(names[:4]) == names[:4]
    assert names[0] == "checkpoint-e000001-s000000005.rnn"


@pytest.mark.parametrize(
    "name", ["checkpoint-e1-s000000005.rnn", "checkpoint-e000001-s000000005.rnn.tmp", "log.txt", ""]
)
def test_other_files_are_no_checkpoints(name: str) -> None:
    assert parse_checkpoint_name(name) is None


def test_sha256() -> None:
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_atomic_write_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    atomic_write(path, b"a long first version")
    atomic_write_text(path, "kürzer")
    assert path.read_bytes() == "kürzer".encode()
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    atomic_write(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_ensure_writable_dir(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert ensure_writable_dir(folder, "results folder") == folder
    assert ensure_writable_dir(folder, "results folder") == folder
    assert list(folder.iterdir()) == []
    (tmp_path / "file").write_text("here")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=r"^results folder .* is not writable \(.*\): make it writable or choose"):
            ensure_writable_dir(path, "results folder")
    assert (tmp_path / "file").read_text() == "here"
