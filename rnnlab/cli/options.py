"""Options shared by several commands, and helpers for their values and for output."""

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from rnnlab.workspace import DEFAULT_RESULTS

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--db", envvar="RNNLAB_DB", help="Job database: a path or URL.", show_default="rnnlab.db in the results folder"
    ),
]
ResultsOption = Annotated[
    Path, typer.Option("--results", envvar="RNNLAB_RESULTS", help="Folder for checkpoints, tables and reports.")
]
PlotsOption = Annotated[Path, typer.Option("--plots", envvar="RNNLAB_PLOTS", help="Folder for plots.")]
CorpusOption = Annotated[
    str | None, typer.Option("--corpus", help="A known corpus or a text file, to replace the experiment's corpus.")
]
ScaleOption = Annotated[
    str | None, typer.Option("--scale", help="A reduced size defined in the experiment file, for example tiny.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", envvar="RNNLAB_DEVICE", help="Device: auto, cpu, cuda or cuda:N.")
]

OnlyExperiment = Annotated[str | None, typer.Argument(help="Name of an experiment.", show_default="the only one")]

AllowCodeOption = Annotated[
    bool,
    typer.Option("--allow-code", envvar="RNNLAB_ALLOW_CODE", help="Run the Python code of user-defined cells."),
]


def shown_database(database: str) -> str:
    """The database as shown in messages: a URL without its password."""
    return re.sub(r"(?<=://)([^:/@]*):[^/]*@", r"\1:***@", database)


def repeat_flags(database: str | None, results: Path) -> str:
    """The flags with which another command, in the same shell, uses the same database and folder.

    A password is removed, because it must not appear on a screen, in a log or in the list of processes. Use RNNLAB_DB
    or PGPASSWORD for it.
    """
    flags = ""
    if database is not None and database != os.environ.get("RNNLAB_DB"):
        flags += f" --db {shlex.quote(shown_database(database))}"
    if str(results) != os.environ.get("RNNLAB_RESULTS", str(DEFAULT_RESULTS)):
        flags += f" --results {shlex.quote(str(results))}"
    return flags


def code_flag(own_cells: bool) -> str:
    """The flag that workers need for an experiment with own cells; empty for other experiments."""
    return " --allow-code" if own_cells else ""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number with its noun: `1 job`, `2 jobs`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shown_path(path: Path) -> Path:
    """The path as shown in messages: relative if it is below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def print_warning(text: str) -> None:
    """Print a line to stderr."""
    print(text, file=sys.stderr, flush=True)
