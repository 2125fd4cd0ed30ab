"""Disks that are full or read-only, for real: file systems of their own, which take rights that not everybody has."""

import errno
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest


@cache
def can_mount() -> bool:
    """Whether file systems can be mounted here."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = not _mount("-t", "tmpfs", "tmpfs", folder)
        if mounted:
            _unmount(Path(folder))
        return mounted


@contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, in memory. Skips the test where none can be mounted."""
    at.mkdir()
    complaint = _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(at))
    if complaint:
        pytest.skip(f"needs a small file system of its own: {complaint}")
    try:
        yield at
    finally:
        _unmount(at)


def fill(path: Path) -> None:
    """Write until there is no space left."""
    with path.open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody can write to the folder, root neither. Needs the rights of `small_disk`, unless we are not root."""
    if os.geteuid() != 0:
        mode = folder.stat().st_mode
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(mode)
        return
    # Files that are open for writing hinder a mount in becoming read-only, but not this second mount of the folder.
    assert not _mount("--bind", str(folder), str(folder))
    try:
        assert not _mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        _unmount(folder)


def _mount(*arguments: str) -> str:
    """What is wrong; empty if nothing is."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return "there is no mount command"
    return done.stderr.strip() or f"mount ended with {done.returncode}" if done.returncode else ""


def _unmount(at: Path) -> None:
    subprocess.run(["umount", "--lazy", str(at)], check=True)
