"""`rnnlab check-cell`."""

from typing import Annotated

import typer

from rnnlab.cli.options import AllowCodeOption, counted


def check_cell(
    cell: Annotated[str, typer.Argument(help="A class in a file, FILE.py:CLASS, or the name of a built-in cell.")],
    allow_code: AllowCodeOption = False,
) -> None:
    """Check whether a cell can be trained in cohorts: shapes, gradients, causality, the same bits in any company.

    One line for each property. Exit code 1 if the cell lacks one.
    """
    from rnnlab.actions.check_cell import check_cell as verdicts

    n_wrong = 0
    for title, complaint in verdicts(cell, allow_code=allow_code):
        print(f"ok     {title}" if complaint is None else f"WRONG  {title}: {complaint}", flush=True)
        n_wrong += complaint is not None
    print(f"{cell} is a good cell" if not n_wrong else f"{cell} lacks {counted(n_wrong, 'property', 'properties')}")
    raise typer.Exit(1 if n_wrong else 0)
