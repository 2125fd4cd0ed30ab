"""`rnnlab data`: the corpora on this machine."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rnnlab.data.cache import Corpus
    from rnnlab.data.listing import Listing

data_app = typer.Typer(help="List, download and add corpora.", no_args_is_help=True)


@data_app.command("list")
def list_command() -> None:
    """List all known corpora with status, size, hash and license.

    Prints a table on a terminal; otherwise one line per corpus, with tab-separated fields and the full hash.
    """
    from rnnlab.data.listing import list_corpora

    lines = list_corpora()
    if sys.stdout.isatty():
        _print_table(lines)
        return
    for line in lines:
        size = "" if line.size_bytes is None else str(line.size_bytes)
        print(line.name, line.status, size, line.sha256 or "", line.license, sep="\t")


@data_app.command("fetch")
def fetch_command(name: Annotated[str, typer.Argument(help="A known corpus, for example enwik8.")]) -> None:
    """Download a known corpus, verify its hash and store it. An interrupted download is resumed."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    from rnnlab.data.corpus import fetch

    columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        corpus = fetch(name, lambda done, total: bar.update(task, completed=done, total=total))
    _print_corpus(corpus)


@data_app.command("add")
def add_command(
    file: Annotated[Path, typer.Argument(help="A text file, plain or gzip.")],
    name: Annotated[
        str | None,
        typer.Option(help="Name to use in experiments. For the name of a known corpus, the hash is verified."),
    ] = None,
) -> None:
    """Store a text file as a corpus, which experiments find by its name and workers by its hash."""
    from rnnlab.data.corpus import add

    _print_corpus(add(file, name))


def _print_corpus(corpus: "Corpus") -> None:
    print(corpus.name, corpus.size_bytes, corpus.sha256, sep="\t")


def _print_table(lines: "list[Listing]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("corpus", "status", "bytes", "sha256", "license", "description")
    table.columns[2].justify = "right"
    for line in lines:
        size = "" if line.size_bytes is None else f"{line.size_bytes:,}"
        table.add_row(line.name, line.status, size, (line.sha256 or "")[:12], line.license, line.title)
    Console().print(table)
