"""`rnnlab gc`: delete files that are no longer needed."""

import sys
from typing import Annotated

import typer

from rnnlab.cli.options import DatabaseOption, ResultsOption, counted
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files, but do not delete them.")] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Delete superseded checkpoints, run folders without a job, and partial files of killed workers.

    Use --dry-run first to see the list.
    """
    from rnnlab.actions.gc import find_garbage, remove

    workspace = workspace_of(results)
    with open_store(db, workspace, read_only=True) as store:
        found = find_garbage(store, workspace)
    for item in found:
        print(f"{item.path}\t{item.size_bytes}\t{item.reason}")
        if not dry_run:
            remove(item)
    freed_megabytes = sum(item.size_bytes for item in found) / 1e6
    verb = "would be deleted" if dry_run else "deleted"
    print(f"{counted(len(found), 'item')}, {freed_megabytes:,.1f} MB {verb}", file=sys.stderr)
