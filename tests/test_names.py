"""A newcomer finds a file by its name: commands, nouns at the top, one meaning for each stem."""

import inspect
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from rnnlab.cli.main import app
from tests.support.paths import ROOT

PACKAGE = ROOT / "rnnlab"
MOST_AT_THE_TOP = 15
# The word of a command that no module can have as its name.
RENAMED = {"import": "import_results"}
# The public module, and the one that stored cells of users import.
SAME_STEM = {frozenset({"cells.py", "models/cells.py"})}


def modules() -> list[str]:
    """Every module of the package but `__init__.py`, relative to it."""
    found = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]
    return [path for path in found if not path.endswith("__init__.py")]


def shared_stems(paths: Sequence[str]) -> list[set[str]]:
    """The modules that share a stem and may not: `cli/X.py` may with `actions/X.py`."""
    by_stem: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        by_stem[Path(path).stem].add(path)
    return [
        found
        for stem, found in by_stem.items()
        if len(found) > 1 and found != {f"cli/{stem}.py", f"actions/{stem}.py"} and frozenset(found) not in SAME_STEM
    ]


def looks_like_a_verb(stem: str) -> bool:
    """A gerund or a participle: they do not tell what a module contains."""
    return stem.endswith(("ing", "ed")) and stem != "testing"


def test_no_two_modules_share_a_stem() -> None:
    assert shared_stems(modules()) == []
    # The check itself.
    assert shared_stems(["spec/runs.py", "analysis/runs.py"]) == [{"spec/runs.py", "analysis/runs.py"}]
    assert shared_stems(["cli/gc.py", "actions/gc.py", "worker/gc.py"]) != []
    assert shared_stems(["cli/gc.py", "actions/gc.py"]) == []


def test_the_top_level_holds_few_modules_and_they_are_nouns() -> None:
    top = [path for path in modules() if "/" not in path]
    assert len(top) + 1 <= MOST_AT_THE_TOP  # with __init__.py
    assert [path for path in top if looks_like_a_verb(Path(path).stem)] == []
    assert looks_like_a_verb("choosing") and looks_like_a_verb("trained")


def test_every_command_has_a_file_of_its_name() -> None:
    command: Any = typer.main.get_command(app)
    for name, one in command.commands.items():
        leaf = next(iter(one.commands.values())) if getattr(one, "commands", None) else one
        module = inspect.getmodule(inspect.unwrap(leaf.callback))
        assert module is not None
        assert module.__name__ == f"rnnlab.cli.{RENAMED.get(name, name.replace('-', '_'))}"


def test_tests_mirror_the_package() -> None:
    """A folder of tests has the name of a room, of a folder in one, or of a kind of tests."""
    kinds = {"oracle", "recovery", "gpu", "support", "benchmarks", "data/reference", "oracle/data"}
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests).as_posix() for path in tests.rglob("*.py")} - {"."}
    assert {name for name in folders - kinds if not (PACKAGE / name).is_dir()} == set()


def test_no_test_imports_from_another() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py")}
    wrong = [
        f"{path.relative_to(ROOT)}: {line}"
        for path, source in sources.items()
        for line in source.splitlines()
        if line.lstrip().startswith(("from tests", "import tests", "from .")) and ".test_" in line.split(" import ")[0]
    ]
    assert wrong == []
