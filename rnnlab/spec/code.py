"""The code of a user's own cells: from `cell = "mycell.py:Minimal"` to a name that says which code it is.

An experiment file names a class in a Python file, relative to itself. When it is read, each such name becomes
CLASS@HASH, with the SHA-256 of the file, wherever `cell` has a value; the files' texts stand in the experiment under
their hashes. So the hash is a part of every run config, rules and rounds compare names alone, and the job table has the
code. Nothing is executed here.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from rnnlab.errors import SpecError
from rnnlab.files import sha256_hex
from rnnlab.spec.cell_settings import is_own, short_name
from rnnlab.spec.settings import Settings
from rnnlab.spec.toml_format import shown

# The parts of an experiment file in which `cell` may have values.
_PARTS = ("model", "grid", "skip", "adjust", "rounds", "analysis", "reproduction")
_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)")


class CodeFile(Settings):
    """A Python file with own cells, as it was when the experiment file was read."""

    file: Annotated[str, Field(min_length=1)]  # its name, for people
    source: str

    @property
    def sha256(self) -> str:
        """What identifies it: the hash of the bytes of the file."""
        return sha256_hex(self.source.encode())


def hash_of(cell: str) -> str:
    """The hash in the name of an own cell."""
    return cell.partition("@")[2]


def read_cell(reference: str, folder: Path) -> tuple[str, CodeFile]:
    """The name of the cell that FILE.py:CLASS means, CLASS@HASH, and its file; FILE.py is relative to `folder`.

    Raises SpecError, in one line, if it is spelled otherwise or the file cannot be read. Executes nothing.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise SpecError(f"cell {shown(reference)}: a cell of your own is named FILE.py:CLASS")
    path = folder / match["file"]
    try:
        code = CodeFile(file=path.name, source=path.read_bytes().decode())
    except OSError as error:
        raise SpecError(f"cell {shown(reference)}: {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"cell {shown(reference)}: {path} is no text in UTF-8") from error
    return f"{match['name']}@{code.sha256}", code


def with_code(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The document of the experiment file `path` with own cells under their names and with their files.

    Raises SpecError, in one line, if a file that it names cannot be read.
    """
    found: dict[str, Any] = {}

    def walk(key: str, node: Any) -> Any:
        """`node` stands under `key`, itself or in a list."""
        if isinstance(node, dict):
            return {name: walk(name, value) for name, value in node.items()}
        if isinstance(node, list):
            return [walk(key, entry) for entry in node]
        if key != "cell" or not isinstance(node, str) or ".py" not in node:
            return node
        try:
            name, code = read_cell(node, path.parent)
        except SpecError as error:
            raise SpecError(f"{path}: {error}") from error
        found[code.sha256] = code.model_dump()
        return name

    changed = {part: walk(part, document[part]) for part in _PARTS if part in document}
    given = document.get("code", {})
    if not found or not isinstance(given, dict):
        return document
    return {**document, **changed, "code": {**given, **found}}


def check_code(code: Mapping[str, CodeFile], cells: Iterable[object]) -> None:
    """Raises ValueError, in one line, for code that its hash does not fit, and for an own cell without code."""
    for sha256, file in code.items():
        if sha256 != file.sha256:
            raise ValueError(f"code.{sha256[:12]} ({file.file}): the source has the hash {file.sha256[:12]}")
    for cell in cells:
        if is_own(cell) and hash_of(str(cell)) not in code:
            raise ValueError(
                f"cell {short_name(cell)}: its code is not in the experiment: name the file that has the class, "
                'as in cell = "FILE.py:CLASS"'
            )
