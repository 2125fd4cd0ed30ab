"""Real full and read-only disks: separate file systems, which require privileges."""

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
    """Whether this process can mount file systems."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = not _mount("-t", "tmpfs", "tmpfs", folder)
        if mounted:
            _unmount(Path(folder))
        return mounted


@contextmanager
def small_disk(at: Path, megabytes: int) -> Iterator[Path]:
    """A separate file system in memory. Skips the test if none can be mounted."""
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
    """No process can write to the folder, not even as root. As root this needs the privileges of `small_disk`."""
    if os.geteuid() != 0:
        mode = folder.stat().st_mode
        folder.chmod(0o555)
        try:
            yield
        finally:
            folder.chmod(mode)
        return
    # A mount with files open for writing cannot become read-only, but this second mount of the folder can.
    assert not _mount("--bind", str(folder), str(folder))
    try:
        assert not _mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        _unmount(folder)


def _mount(*arguments: str) -> str:
    """The error message; empty after success."""
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return "there is no mount command"
    return done.stderr.strip() or f"mount ended with {done.returncode}" if done.returncode else ""


def _unmount(at: Path) -> None:
    subprocess.run(["umount", "--lazy", str(at)], check=True)
