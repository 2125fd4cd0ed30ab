"""Checks that a cell has the properties required for training in cohorts."""

from collections.abc import Iterator
from pathlib import Path

from rnnlab.errors import CellError
from rnnlab.models.cells import CELLS, Cell
from rnnlab.models.own_cells import cell_class, load_cells
from rnnlab.spec.code import read_cell
from rnnlab.testing import verdicts


def check_cell(cell: str, *, allow_code: bool) -> Iterator[tuple[str, str | None]]:
    """Check each property of a cell. Yields its title and an error message, or None if the check passed.

    cell: name of a built-in cell, or FILE.py:CLASS. allow_code: permit running the code of the file.
    Raises CellError, in one line, if the cell does not exist, or if its file may not be run or raises an exception.
    """
    yield from verdicts(_class_of(cell, allowed=allow_code))


def _class_of(cell: str, *, allowed: bool) -> type[Cell]:
    if cell in CELLS:
        return CELLS[cell]
    if ".py" not in cell:
        raise CellError(f"no cell {cell!r}: give one of {', '.join(CELLS)}, or a class of your own as FILE.py:CLASS")
    name, file = read_cell(cell, Path())
    load_cells([name], {file.sha256: file}, allowed=allowed)
    return cell_class(name)
