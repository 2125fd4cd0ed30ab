"""`rnnlab gc`: throw away what nobody needs."""

import sys
from typing import Annotated

import typer

from rnnlab.cli.options import DatabaseOption, ResultsOption, counted
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Remove superseded checkpoints, folders of no job and leftovers of kills. Try --dry-run first."""
    from rnnlab.actions.gc import find_garbage, remove

    workspace = workspace_of(results)
    with open_store(db, workspace, read_only=True) as store:
        found = find_garbage(store, workspace)
    for waste in found:
        print(f"{waste.path}\t{waste.size_bytes}\t{waste.reason}")
        if not dry_run:
            remove(waste)
    freed = sum(waste.size_bytes for waste in found) / 1e6
    verb = "would go" if dry_run else "removed"
    print(f"{counted(len(found), 'thing')}, {freed:,.1f} MB {verb}", file=sys.stderr)
