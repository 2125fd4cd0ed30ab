"""`rnnlab check-cell`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import AllowCodeOption, counted

if TYPE_CHECKING:
    from rnnlab.models.cells import Cell


def check_cell(
    cell: Annotated[str, typer.Argument(help="A class in a file, FILE.py:CLASS, or the name of a built-in cell.")],
    allow_code: AllowCodeOption = False,
) -> None:
    """Check whether a cell can be trained in cohorts: shapes, gradients, causality, the same bits in any company.

    One line for each property. Exit code 1 if the cell lacks one.
    """
    from rnnlab.testing import verdicts

    n_wrong = 0
    for title, complaint in verdicts(_class_of(cell, allowed=allow_code)):
        print(f"ok     {title}" if complaint is None else f"WRONG  {title}: {complaint}", flush=True)
        n_wrong += complaint is not None
    print(f"{cell} is a good cell" if not n_wrong else f"{cell} lacks {counted(n_wrong, 'property', 'properties')}")
    raise typer.Exit(1 if n_wrong else 0)


def _class_of(cell: str, *, allowed: bool) -> "type[Cell]":
    """Raises UsageError, in one line, if there is no such cell, if its file may not be run, or raises."""
    from rnnlab.errors import CellError
    from rnnlab.models.cells import CELLS
    from rnnlab.models.own_cells import cell_class, load_cells
    from rnnlab.spec.code import read_cell

    if cell in CELLS:
        return CELLS[cell]
    if ".py" not in cell:
        raise CellError(f"no cell {cell!r}: give {', '.join(CELLS)}, or a class of your own as FILE.py:CLASS")
    name, file = read_cell(cell, Path())
    load_cells([name], {file.sha256: file}, allowed=allowed)
    return cell_class(name)
