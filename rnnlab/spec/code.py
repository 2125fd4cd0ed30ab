"""The code of a user's own cells: replaces `cell = "mycell.py:Minimal"` by a name that identifies the code.

An experiment file names a class in a Python file, relative to the experiment file. When the experiment file is read,
each such name becomes CLASS@HASH, with the SHA-256 of the Python file, wherever `cell` has a value. The experiment
stores the source of the files under their hashes. Therefore every run config contains the hash, rules and rounds need
to compare only names, and the job table contains the code. This module executes no code.
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
from rnnlab.spec.toml_format import abbreviated

# The tables of an experiment file in which `cell` can have values.
_PARTS = ("model", "grid", "skip", "adjust", "rounds", "analysis", "reproduction")
_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)")


class CodeFile(Settings):
    """A Python file with own cells, as it was when the experiment file was read."""

    file: Annotated[str, Field(min_length=1)]  # file name, shown in messages
    source: str

    @property
    def sha256(self) -> str:
        """The identifier of the file: the hash of its bytes."""
        return sha256_hex(self.source.encode())


def hash_of(cell: str) -> str:
    """The hash in the name of an own cell."""
    return cell.partition("@")[2]


def read_cell(reference: str, folder: Path) -> tuple[str, CodeFile]:
    """The name CLASS@HASH of the cell FILE.py:CLASS, and its file. FILE.py is relative to `folder`.

    Executes no code. Raises SpecError, in one line, if the reference has another form or the file cannot be read.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise SpecError(f"cell {abbreviated(reference)}: write a cell of your own as FILE.py:CLASS")
    path = folder / match["file"]
    try:
        code = CodeFile(file=path.name, source=path.read_bytes().decode())
    except OSError as error:
        raise SpecError(f"cell {abbreviated(reference)}: {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"cell {abbreviated(reference)}: {path} is not a UTF-8 text file") from error
    return f"{match['name']}@{code.sha256}", code


def embed_own_cells(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """The document of the experiment file `path`, with references to own cells replaced by names, and their code added.

    Raises SpecError, in one line, if a file with a cell cannot be read.
    """
    found: dict[str, Any] = {}

    def walk(key: str, node: Any) -> Any:
        """`node` is the value of `key`, or an element of the list that is."""
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
    """Raises ValueError, in one line, for code that does not match its hash, and for an own cell without code."""
    for sha256, file in code.items():
        if sha256 != file.sha256:
            raise ValueError(f"code.{sha256[:12]} ({file.file}): the source has the hash {file.sha256[:12]}")
    for cell in cells:
        if is_own(cell) and hash_of(str(cell)) not in code:
            raise ValueError(
                f"cell {short_name(cell)}: the experiment does not contain its code: name the file of the class, as in "
                'cell = "FILE.py:CLASS"'
            )
