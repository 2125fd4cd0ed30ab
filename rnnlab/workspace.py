"""The two folders and the job table, opened for whoever wants to work with them."""

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
    """The folders, absolute, so that a later change of the working directory does not matter."""
    return Workspace(results.absolute(), plots.absolute())


@contextlib.contextmanager
def writable(*folders: tuple[Path, str]) -> Iterator[None]:
    """Folders, each with its purpose for messages, made and proven writable.

    Where that fails, or what is done with them ends in an error of the user's, those that were made and are still
    empty are taken back.

    Raises UsageError, in one line, if one of them cannot be written.
    """
    made: list[Path] = []
    try:
        for path, purpose in folders:
            made += [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]
            ensure_writable_dir(path, purpose)
        yield
    except RnnlabError:
        for folder in sorted(made, key=lambda folder: len(folder.parts), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _check_folder(path: Path, purpose: str) -> None:
    """Raises UsageError if the folder `path` could surely not be made or written; makes nothing."""
    there = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"{purpose} {path} cannot be written: make it writable or choose another folder")


@contextlib.contextmanager
def open_store(
    database: str | None,
    workspace: Workspace,
    *,
    create: bool = False,
    read_only: bool = False,
    lease_seconds: float | None = None,
) -> "Iterator[Store]":
    """The store, closed at the end. With `create`, it and the results folder are made where they are missing.

    lease_seconds: of workers, where it is not the usual one.

    Raises DatabaseError, in one line, if it cannot be opened; UsageError if the results folder cannot be written, be
    it now or, without `create`, when something is first put there.
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
