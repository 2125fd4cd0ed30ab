"""Opens the results folder, the plots folder and the job table."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.errors import RnnlabError, UsageError
from rnnlab.files import Workspace, ensure_writable_dir

if TYPE_CHECKING:
    from rnnlab.queue.store import Store

DEFAULT_RESULTS = Path("results")
DEFAULT_PLOTS = Path("plots")


def workspace_of(results: Path, plots: Path = DEFAULT_PLOTS) -> Workspace:
    """The folders as absolute paths, so that a later change of the working directory has no effect."""
    return Workspace(results.absolute(), plots.absolute())


@contextlib.contextmanager
def writable(*folders: tuple[Path, str]) -> Iterator[None]:
    """Create folders, given with their purpose for messages, and check that they are writable.

    If this fails, or if the block raises an RnnlabError, the created folders that are still empty are removed.

    Raises UsageError, in one line, if one of the folders is not writable.
    """
    created: list[Path] = []
    try:
        for path, purpose in folders:
            created += [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
            ensure_writable_dir(path, purpose)
        yield
    except RnnlabError:
        for folder in sorted(created, key=lambda folder: len(folder.parts), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _check_folder(path: Path, purpose: str) -> None:
    """Raises UsageError if the folder `path` is certainly not writable, or cannot be created. Creates nothing."""
    existing = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(f"{purpose} {path} is not writable: make it writable or choose another folder")


@contextlib.contextmanager
def open_store(
    database: str | None,
    workspace: Workspace,
    *,
    create: bool = False,
    read_only: bool = False,
    lease_seconds: float | None = None,
) -> "Iterator[Store]":
    """Open the store, and close it at the end. create: create it and the results folder if they do not exist.

    lease_seconds: duration of the leases of workers, if not the default.

    Raises DatabaseError, in one line, if the store cannot be opened; UsageError if the results folder is not writable,
    unless `read_only`.
    """
    from rnnlab.queue.database import open_database
    from rnnlab.queue.store import Store
    from rnnlab.queue.workers import LEASE_SECONDS

    with writable((workspace.results_dir, "results folder")) if create else contextlib.nullcontext():
        engine = open_database(database or workspace.default_database, create=create, read_only=read_only)
    try:
        if not (create or read_only):
            _check_folder(workspace.results_dir, "results folder")
        yield Store(engine, lease_seconds=LEASE_SECONDS if lease_seconds is None else lease_seconds)
    finally:
        engine.dispose()
