"""Options that several commands share, and what they lead to."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.files import Workspace, ensure_writable_dir

if TYPE_CHECKING:
    from rnnlab.queue.store import Store

DatabaseOption = Annotated[
    str | None,
    typer.Option("--db", envvar="RNNLAB_DB", help="Job database, a path or URL. [default: RESULTS/rnnlab.db]"),
]
ResultsOption = Annotated[
    Path, typer.Option("--results", envvar="RNNLAB_RESULTS", help="Folder of checkpoints, tables and reports.")
]
PlotsOption = Annotated[Path, typer.Option("--plots", envvar="RNNLAB_PLOTS", help="Folder of pictures.")]
CorpusOption = Annotated[
    str | None, typer.Option("--corpus", help="A known corpus or a text file, instead of the experiment's own.")
]
ScaleOption = Annotated[
    str | None, typer.Option("--scale", help="A reduced size that the experiment file defines, for example tiny.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]

DEFAULT_RESULTS = Path("results")
DEFAULT_PLOTS = Path("plots")


def workspace_of(results: Path, plots: Path = DEFAULT_PLOTS) -> Workspace:
    """The folders, absolute, so that a later change of the working directory does not matter."""
    return Workspace(results.absolute(), plots.absolute())


@contextlib.contextmanager
def open_store(
    database: str | None, workspace: Workspace, *, create: bool = False, read_only: bool = False
) -> "Iterator[Store]":
    """The store, closed at the end. Raises DatabaseError, in one line, if it cannot be opened."""
    from rnnlab.queue.database import open_database
    from rnnlab.queue.store import Store

    if create:
        ensure_writable_dir(workspace.results_dir, "results folder")
    engine = open_database(database or workspace.default_database, create=create, read_only=read_only)
    try:
        yield Store(engine)
    finally:
        engine.dispose()


def repeat_flags(database: str | None, results: Path) -> str:
    """The flags that lead another command to the same database and folder, for messages."""
    flags = f" --db {database}" if database and "RNNLAB_DB" not in os.environ else ""
    if results != DEFAULT_RESULTS and "RNNLAB_RESULTS" not in os.environ:
        flags += f" --results {results}"
    return flags
