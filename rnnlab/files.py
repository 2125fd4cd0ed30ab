"""Where every file lies, and how files are written so that a kill at any instant leaves a whole one.

results/
    rnnlab.db                                 the job table (SQLite)
    workers/<worker id>.lock                  held by a live worker for life
    <experiment>/
        <round>/<config hash, 16 digits>/     one run folder per job
            checkpoint-e000001-s000000999.rnn     e = epoch of the claim that wrote it, s = optimiser steps
            log.txt
        <round>.csv, report.md, report.html   tables and reports made by `rnnlab analyze`
        sample.json                           what the best run writes
plots/<experiment>/<round>-*.png              pictures made by `rnnlab analyze`, and .svg
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rnnlab.errors import UsageError

DATABASE_NAME = "rnnlab.db"
_CHECKPOINT = re.compile(r"checkpoint-e(\d{6,})-s(\d{9,})\.rnn")


@dataclass(frozen=True)
class Workspace:
    """The two folders that rnnlab writes to."""

    results_dir: Path
    plots_dir: Path

    @property
    def default_database(self) -> Path:
        """The SQLite file used when neither --db nor RNNLAB_DB names another database."""
        return self.results_dir / DATABASE_NAME

    @property
    def workers_dir(self) -> Path:
        """Lock files of the workers."""
        return self.results_dir / "workers"

    def experiment_dir(self, experiment: str) -> Path:
        """Tables and run folders of one experiment."""
        return self.results_dir / experiment

    def run_dir(self, experiment: str, round_name: str, config_hash: str) -> Path:
        """Checkpoints and log of one job."""
        return self.experiment_dir(experiment) / round_name / config_hash[:16]

    def plot_dir(self, experiment: str) -> Path:
        """Pictures of one experiment."""
        return self.plots_dir / experiment


def checkpoint_name(epoch: int, step: int) -> str:
    """The file name of the checkpoint that the claim `epoch` writes after `step` optimiser steps."""
    return f"checkpoint-e{epoch:06d}-s{step:09d}.rnn"


def parse_checkpoint_name(name: str) -> tuple[int, int] | None:
    """(epoch, step) of a checkpoint's file name, or None if the name is not a checkpoint's."""
    match = _CHECKPOINT.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


def sha256_hex(data: bytes) -> str:
    """SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def ensure_writable_dir(path: Path, purpose: str) -> Path:
    """Make the folder `path` and prove that a file can be written there.

    Raises UsageError, in one line, where that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"{purpose} {path} cannot be written ({reason}): make it writable or choose another folder"
        ) from error
    return path


@contextmanager
def _temporary_beside(path: Path) -> Iterator[Path]:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, data: bytes) -> None:
    """Write `data` to `path`: a reader, or a kill at any instant, sees the old file or the whole new one.

    Raises OSError (disk full, read-only folder); the old file is then still there and no temporary file remains.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _temporary_beside(path) as temporary:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_dir(path.parent)


def atomic_write_text(path: Path, text: str) -> None:
    """`atomic_write` of UTF-8 text."""
    atomic_write(path, text.encode())
