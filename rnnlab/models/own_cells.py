"""Built-in and users' own cells by name. A user's code runs only here, and only if the user permitted it.

Shapes: M models, B batch rows, T steps of a window, N symbols read at once, I inputs of a map, S state size, P numbers
that a step needs of its input.

A name CLASS@HASH stands for the text of one file, so a loaded class stays valid for the life of the process.
"""

import sys
import traceback
from collections.abc import Iterable, Mapping
from types import ModuleType

import torch
from torch import Tensor

from rnnlab.errors import CellError
from rnnlab.models.cells import CELLS, Cell
from rnnlab.models.initialization import Parameter, initial_parameters
from rnnlab.spec.cell_settings import RecurrentSettings, is_own, short_name
from rnnlab.spec.code import CodeFile, hash_of

_M, _B, _T, _I = 2, 3, 2, 5  # sizes of the small model for the check of shapes

_loaded: dict[str, type[Cell]] = {}


def cell_class(name: str) -> type[Cell]:
    """The class of a cell. Raises CellError for an own cell whose code is not loaded."""
    found = CELLS.get(name) or _loaded.get(name)
    if found is None:
        raise CellError(f"cell {short_name(name)} is your own code, and it is not loaded: {permission()}")
    return found


def needs_code(name: str) -> bool:
    """Whether this is an own cell whose code is not loaded yet."""
    return is_own(name) and name not in _loaded


def permission() -> str:
    """What the user must do so that code is loaded."""
    return "read it, and if you trust it add --allow-code (or set RNNLAB_ALLOW_CODE=1)"


def load_cells(names: Iterable[object], code: Mapping[str, CodeFile], *, allowed: bool) -> None:
    """Execute the files of the own cells among `names` that are not loaded yet.

    Raises CellError, in one line, if the user has not `allowed` it, before anything is executed; and if a file raises
    an exception or does not have the class.
    """
    wanted = [str(name) for name in names if needs_code(str(name))]
    for name in wanted:
        file = code.get(hash_of(name))
        if not allowed:
            where = f" from {file.file}" if file else ""
            raise CellError(
                f"cell {short_name(name)}{where} is code, which does not run without permission: {permission()}"
            )
        if file is None:
            raise CellError(f"the code of cell {short_name(name)} is not in the job table: run `rnnlab init` again")
    for name in wanted:
        _loaded[name] = _class_in(_executed(code[hash_of(name)]), name.partition("@")[0], code[hash_of(name)].file)


def register_class(cell: type[Cell]) -> str:
    """Register a class under a name, for checks of a cell without a stored file. Returns the name."""
    for name, known in (CELLS | _loaded).items():
        if known is cell:
            return name
    name = f"{cell.__name__}@{id(cell):064x}"
    _loaded[name] = cell
    return name


def _executed(file: CodeFile) -> ModuleType:
    module = ModuleType(f"rnnlab_own_{file.sha256[:12]}")
    shown = f"{file.file} ({file.sha256[:12]})"  # the file name in tracebacks; no such path exists
    sys.modules[module.__name__] = module  # dataclasses look up their module here
    try:
        exec(compile(file.source.encode(), shown, "exec"), module.__dict__)
    except SyntaxError as error:
        del sys.modules[module.__name__]
        raise CellError(f"{file.file}, line {error.lineno}: SyntaxError: {error.msg}") from error
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == shown]
        where = f", line {lines[-1]}" if lines else ""
        said = " ".join(str(error).split())
        raise CellError(f"{file.file}{where}: {type(error).__name__}: {said} (while loading the file)") from error
    return module


def _class_in(module: ModuleType, name: str, file: str) -> type[Cell]:
    found = module.__dict__.get(name)
    if found is None:
        cells = [
            key for key, value in module.__dict__.items() if _is_cell(value) and value.__module__ == module.__name__
        ]
        raise CellError(f"{file} has no class {name}; its cells: {', '.join(cells) or 'none'}")
    if not _is_cell(found):
        raise CellError(f"{name} in {file} is not a cell: it must be a class derived from rnnlab.cells.Cell")
    missing = sorted(found.__abstractmethods__)
    if missing:
        raise CellError(
            f"{name} in {file} does not define {' and '.join(missing)}: a cell must define parameters and step"
        )
    return found  # type: ignore[no-any-return]


def _is_cell(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Cell) and value is not Cell


def shape_error(settings: RecurrentSettings) -> str | None:
    """What is wrong with the shapes of a cell, in a small model; None if they are right."""
    try:
        cell = cell_class(settings.cell)(settings)
        return _wrong_parameters(cell) or _wrong_step(cell)
    except CellError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        return f"a small model raises {type(error).__name__}: {said}"


def check_shapes(settings: RecurrentSettings) -> None:
    """Raises CellError, in one line, if the shapes of the cell are wrong."""
    if problem := shape_error(settings):
        raise CellError(f"cell {short_name(settings.cell)} cannot be used: {problem}")


def _wrong_parameters(cell: Cell) -> str | None:
    given = cell.parameters(_I)
    if not isinstance(given, dict) or not given:
        return (
            f"parameters() returned {type(given).__name__}: it must return a dict, name -> Parameter, that is not empty"
        )
    for name, one in given.items():
        if not isinstance(name, str) or name == "start" or not name:
            return f"parameters() has the name {name!r}: it must be a string that is not empty and not start (reserved)"
        if not isinstance(one, Parameter):
            return f"parameters()[{name!r}] is {type(one).__name__}: it must be a Parameter, as self.weight() returns"
        if not one.shape or not all(isinstance(size, int) and size > 0 for size in one.shape):
            return f"parameters()[{name!r}] has the shape {one.shape}: sizes must be integers of at least 1"
    for name, drawn in initial_parameters(given, 0).items():
        if drawn.shape != torch.Size(given[name].shape):
            return f"parameters()[{name!r}] is drawn as {list(drawn.shape)}, but its shape is {list(given[name].shape)}"
    return None


def _wrong_step(cell: Cell) -> str | None:
    S, n = cell.state_size, cell.n_states
    drawn = [initial_parameters(cell.parameters(_I), seed) for seed in range(_M)]
    w = {name: torch.stack([own[name] for own in drawn]) for name in drawn[0]}
    state = tuple(torch.zeros(_M, _B, S) for _ in range(n))
    symbols_MN = torch.arange(_M * _T * _B).view(_M, _T * _B) % _I
    for x in (torch.ones(_M, _T * _B, _I), symbols_MN):
        of = "symbols [M, N], int64" if x is symbols_MN else "inputs [M, N, I]"
        try:
            p_MNP = cell.project(w, x)
        except Exception as error:
            said = " ".join(str(error).split())
            return f"project() of {of}, raises {type(error).__name__}: {said}; rnnlab.cells.affine() takes both kinds"
        if not isinstance(p_MNP, Tensor) or p_MNP.dim() != 3 or p_MNP.shape[:2] != (_M, _T * _B):
            return f"project() of {of} returns {_shape(p_MNP)}: it must be [M, N, P], here [{_M}, {_T * _B}, P]"
        next_state = cell.step(w, p_MNP.view(_M, _T, _B, -1)[:, 0], state)
        if not isinstance(next_state, tuple) or len(next_state) != n:
            count = f"{len(next_state)} tensors" if isinstance(next_state, tuple) else type(next_state).__name__
            return f"step() returns {count}: it must return a tuple of n_states = {n} tensors, as in `return (h,)`"
        for number, h in enumerate(next_state, start=1):
            if not isinstance(h, Tensor) or h.shape != (_M, _B, S):
                return f"step() returns state {number} as {_shape(h)}: it must be [M, B, S], here [{_M}, {_B}, {S}]"
            if h.dtype != torch.float32:
                return f"step() returns state {number} in {h.dtype}: it must keep the type of its input, float32"
    return None


def _shape(x: object) -> str:
    return str(list(x.shape)) if isinstance(x, Tensor) else type(x).__name__
