"""The generated parts of architecture.md: the rooms with what each may import, and the files of each command."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from rnnlab.cli.main import app
from tests.support.layers import LAYERS

_ROOT = Path(__file__).resolve().parents[1]
_PACKAGE = _ROOT / "rnnlab"
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def architecture_page() -> str:
    """The text of architecture.md, its generated parts up to date."""
    text = Path(__file__).with_name("architecture.md").read_text(encoding="utf-8")
    parts = {"rooms": _rooms, "layers": _layers, "commands": _commands}
    return _PART.sub(lambda found: f"{found[1]}\n{parts[found[2]]()}\n\n{found[3]}", text)


def _floors() -> list[list[str]]:
    """The rooms by their distance from the bottom: a room is above everything that it may import."""
    floor: dict[str, int] = {}

    def of(room: str) -> int:
        if room not in floor:
            floor[room] = 1 + max((of(below) for below in LAYERS[room][0]), default=-1)
        return floor[room]

    return [sorted(room for room in LAYERS if of(room) == height) for height in range(1 + max(map(of, LAYERS)))]


def _rooms() -> str:
    """The picture: one line a floor, the highest first."""
    floors = [f"    {number}  {'   '.join(rooms)}" for number, rooms in enumerate(_floors())]
    return "\n".join(reversed(floors))


def _layers() -> str:
    rows = ["| room | contents | may import | packages |", "| --- | --- | --- | --- |"]
    for rooms in reversed(_floors()):
        for room in rooms:
            below, packages = LAYERS[room]
            names = ", ".join(f"`{name}`" for name in sorted(below)) or "-"
            if len(below) > len(LAYERS) // 2:
                missing = sorted(set(LAYERS) - below - {room})
                names = f"all but {', '.join(f'`{name}`' for name in missing)}" if missing else "all"
            rows.append(f"| `{room}` | {_purpose(room)} | {names} | {', '.join(sorted(packages)) or '-'} |")
    return "\n".join(rows)


def _purpose(room: str) -> str:
    """The first sentence of the room's docstring."""
    path = _PACKAGE / "__init__.py" if room == "rnnlab" else _PACKAGE / room / "__init__.py"
    path = path if path.exists() else _PACKAGE / f"{room}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentence = re.split(r"(?<=[.:])\s", " ".join(text.split()), maxsplit=1)[0]
    return sentence.rstrip(".:").replace("|", r"\|")


def _commands() -> str:
    rows = ["| command | flags and printing | work |", "| --- | --- | --- |"]
    for name, module in _modules():
        path = Path(inspect.getfile(module)).relative_to(_ROOT)
        work = ", ".join(f"`{one}`" for one in _work_of(path)) or "-"
        rows.append(f"| `{name}` | `{path}` | {work} |")
    return "\n".join(rows)


def _modules() -> Iterator[tuple[str, Any]]:
    command: Any = typer.main.get_command(app)
    for name, one in command.commands.items():
        for path, leaf in [(f"{name} {inner}", found) for inner, found in getattr(one, "commands", {}).items()] or [
            (name, one)
        ]:
            yield path, inspect.getmodule(inspect.unwrap(leaf.callback))


def _work_of(path: Path) -> list[str]:
    """The files of other rooms that a command calls: those of actions, else those of the worker, the queue or data."""
    tree = ast.parse((_ROOT / path).read_text(encoding="utf-8"))
    found = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    for room in ("actions", "worker", "data", "configuration", "queue", "cli.run"):
        files = {_file(module) for module in found if module.startswith(f"rnnlab.{room}")}
        if files:
            return sorted(files)
    return []


def _file(module: str) -> str:
    path = Path(*module.split("."))
    return f"{path}/" if (_ROOT / path).is_dir() else f"{path}.py"
