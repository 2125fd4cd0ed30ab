"""Finds files that can be deleted: superseded checkpoints, run folders without a job, partial files."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnnlab.files import Workspace, parse_checkpoint_name
from rnnlab.queue.job import Job, Status
from rnnlab.queue.reader import Reader

_RUN_DIR = re.compile(r"[0-9a-f]{16}")
_TEMPORARY = ".*.tmp"


@dataclass(frozen=True)
class Garbage:
    """A file or folder that can be deleted."""

    path: Path
    size_bytes: int
    reason: str


def find_garbage(store: Reader, workspace: Workspace) -> list[Garbage]:
    """All files and folders that can be deleted. The folders of unfinished jobs are not searched."""
    jobs = [job for name in store.experiment_names() for job in store.jobs(name)]
    return [*_of_ended_jobs(jobs, workspace), *_orphans(jobs, store, workspace), *_locks(store)]


def remove(item: Garbage) -> None:
    """Delete one file or folder. Raises OSError if this fails."""
    if item.path.is_dir():
        shutil.rmtree(item.path)
    else:
        item.path.unlink(missing_ok=True)


def _of_ended_jobs(jobs: list[Job], workspace: Workspace) -> Iterator[Garbage]:
    for job in jobs:
        if job.status is not Status.DONE:
            continue
        run_dir = workspace.run_dir(job.experiment, job.round, job.config_hash)
        final = (job.result or {}).get("checkpoint")
        for path in sorted(run_dir.glob("checkpoint-*.rnn")):
            if final != str(path.relative_to(workspace.results_dir)):
                yield Garbage(path, path.stat().st_size, f"superseded checkpoint of job {job.id}")
        for path in sorted(run_dir.glob(_TEMPORARY)):
            yield Garbage(path, path.stat().st_size, f"partial file of job {job.id}")


def _orphans(jobs: list[Job], store: Reader, workspace: Workspace) -> Iterator[Garbage]:
    known = {workspace.run_dir(job.experiment, job.round, job.config_hash) for job in jobs}
    for name in store.experiment_names():
        for run_dir in sorted(workspace.experiment_dir(name).glob("*/*")):
            if run_dir in known or not run_dir.is_dir() or not _RUN_DIR.fullmatch(run_dir.name):
                continue
            files = list(run_dir.iterdir())
            if all(_is_written_by_rnnlab(path) for path in files):  # keep a folder with files that rnnlab did not write
                yield Garbage(
                    run_dir, sum(path.stat().st_size for path in files), "run folder without a job in the table"
                )


def _is_written_by_rnnlab(path: Path) -> bool:
    return path.name == "log.txt" or parse_checkpoint_name(path.name) is not None or path.match(_TEMPORARY)


def _locks(store: Reader) -> Iterator[Garbage]:
    for record in store.workers():
        path = Path(record.lock_path)
        if record.stopped_at is not None and path.is_file():
            yield Garbage(path, path.stat().st_size, f"lock file of worker {record.id}, which has stopped")
