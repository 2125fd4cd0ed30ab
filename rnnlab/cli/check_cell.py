"""`rnnlab check-cell`: test the properties that a cell needs for training in cohorts."""

from typing import Annotated

import typer

from rnnlab.cli.options import AllowCodeOption, counted


def check_cell(
    cell: Annotated[str, typer.Argument(help="A class in a file, FILE.py:CLASS, or the name of a built-in cell.")],
    allow_code: AllowCodeOption = False,
) -> None:
    """Check whether a cell can be trained in cohorts: shapes, gradients, causality, and the same bits in any cohort.

    Prints one line per property. The exit code is 1 if a check fails.
    """
    from rnnlab.actions.check_cell import check_cell as verdicts

    n_failed = 0
    for title, complaint in verdicts(cell, allow_code=allow_code):
        print(f"ok      {title}" if complaint is None else f"FAILED  {title}: {complaint}", flush=True)
        n_failed += complaint is not None
    print(f"{cell}: {counted(n_failed, 'check')} failed" if n_failed else f"{cell}: all checks passed")
    raise typer.Exit(1 if n_failed else 0)
