"""Imports point one way, and the light commands stay light: read from the sources, and seen in a running command."""

import ast
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.layers import ANALYSIS_LAYERS, LAYERS
from tests.support.paths import ROOT

PACKAGE = ROOT / "rnnlab"

SEAM = "worker"  # the only part that imports both the queue and the training

# command, or the import -> where its function is, and what must not be loaded by it
HEAVY = {"torch", "pandas", "seaborn", "matplotlib"}
LIGHT_COMMANDS: dict[str, tuple[str, str, set[str]]] = {
    "import rnnlab": ("rnnlab.api", "_database", {*HEAVY, "numpy", "sqlalchemy", "pydantic", "typer"}),
    "--help": ("rnnlab.cli.main", "main", {*HEAVY, "numpy", "sqlalchemy", "pydantic"}),
    "init": ("rnnlab.cli.init", "init", HEAVY),
    "status": ("rnnlab.cli.status", "status", HEAVY),
    "status --watch": ("rnnlab.cli.status", "_watch", HEAVY),
    "best": ("rnnlab.cli.best", "best", HEAVY),
    "import": ("rnnlab.cli.import_results", "import_results", HEAVY),
    "retry": ("rnnlab.cli.retry", "retry", HEAVY),
    "data list": ("rnnlab.cli.data", "list_command", HEAVY),
    "analyze": ("rnnlab.cli.analyze", "analyze", {"torch"}),
    "compare": ("rnnlab.cli.compare", "compare", {"torch"}),
    "export": ("rnnlab.cli.export", "export", {"torch", "seaborn", "matplotlib"}),
}


@dataclass(frozen=True)
class Import:
    """One import of `target` (a module) by the module `importer`."""

    importer: str
    target: str
    line: int
    function: str | None  # the function that it stands in; None: runs when the module is imported
    only_for_types: bool  # under `if TYPE_CHECKING:`, never runs


def part_of(module: str) -> str:
    """`queue` for rnnlab.queue.store, `rnnlab` for the package itself."""
    return module.split(".")[1] if "." in module else module


def read_package(folder: Path) -> dict[str, str]:
    """Module name -> source, for every module below `folder`."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def imports_of(module: str, source: str, known: Iterable[str]) -> list[Import]:
    """Every import in the source, wherever it stands; a module of `known` is named down to the module."""
    return _imports_of(module, source, frozenset(known))


@functools.cache
def _imports_of(module: str, source: str, known: frozenset[str]) -> list[Import]:

    def walk(node: ast.AST, function: str | None, types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, function, types)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}, line {node.lineno}: imports are absolute here"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(module, inner if inner in known else node.module, node.lineno, function, types)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for branch, for_types in ((node.body, True), (node.orelse, types)):
                for statement in branch:
                    yield from walk(statement, function, for_types)
        else:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and function is None:
                function = node.name
            for child in ast.iter_child_nodes(node):
                yield from walk(child, function, types)

    return list(walk(ast.parse(source), None, False))


def all_imports(modules: Mapping[str, str]) -> list[Import]:
    return [found for module, source in modules.items() for found in imports_of(module, source, modules)]


def layer_complaints(modules: Mapping[str, str]) -> list[str]:
    """Imports that point the wrong way or leave what their layer may use; annotations count too."""
    lines = [f"{module}: has no layer, LAYERS must say" for module in modules if part_of(module) not in LAYERS]
    for found in all_imports(modules):
        own = part_of(found.importer)
        if own not in LAYERS:
            continue
        parts, packages = LAYERS[own]
        where = f"{found.importer}, line {found.line}"
        if found.target.split(".")[0] == "rnnlab":
            if part_of(found.target) not in {own, *parts}:
                lines.append(f"{where}: {own} imports {found.target}")
        elif found.target.split(".")[0] not in packages | sys.stdlib_module_names:
            lines.append(f"{where}: {own} imports {found.target}")
    return lines


def analysis_complaints(modules: Mapping[str, str]) -> list[str]:
    """Imports inside the analysis that point the wrong way, and packages that a part of it may not use."""
    room = "rnnlab.analysis."
    own = {module: source for module, source in modules.items() if module.startswith(room)}
    parts = {module: module.removeprefix(room).split(".")[0] for module in own}
    lines = [
        f"{module}: has no layer, ANALYSIS_LAYERS must say" for module in own if parts[module] not in ANALYSIS_LAYERS
    ]
    for found in (found for module, source in own.items() for found in imports_of(module, source, modules)):
        allowed, packages = ANALYSIS_LAYERS.get(parts[found.importer], (set(), set()))
        where = f"{found.importer}, line {found.line}"
        if found.target.startswith(room):
            if found.target.removeprefix(room).split(".")[0] not in {parts[found.importer], *allowed}:
                lines.append(f"{where}: {parts[found.importer]} imports {found.target}")
        elif found.target.split(".")[0] not in {"rnnlab", *packages, *sys.stdlib_module_names}:
            lines.append(f"{where}: {parts[found.importer]} imports {found.target}")
    return lines


def seam_complaints(modules: Mapping[str, str]) -> list[str]:
    """Modules besides the worker that import both the queue and the training."""
    parts: dict[str, set[str]] = {}
    for found in all_imports(modules):
        parts.setdefault(found.importer, set()).add(part_of(found.target))
    both = [module for module, used in parts.items() if {"queue", "training"} <= used]
    return [f"{module} imports both queue and training: only {SEAM} may" for module in both if part_of(module) != SEAM]


def cycles(modules: Mapping[str, str]) -> list[str]:
    """Import cycles, each once; imports inside functions and for annotations count too."""
    targets = {
        module: sorted({found.target for found in imports_of(module, source, modules)} & modules.keys())
        for module, source in modules.items()
    }
    found: dict[frozenset[str], str] = {}
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> None:
        if module in path:
            cycle = [*path[path.index(module) :], module]
            found.setdefault(frozenset(cycle), " -> ".join(cycle))
        elif module not in finished:
            for target in targets[module]:
                visit(target, [*path, module])
            finished.add(module)

    for module in modules:
        visit(module, [])
    return list(found.values())


def loaded(modules: Mapping[str, str], module: str, function: str) -> set[str]:
    """What is imported by importing `module` and calling `function` in it, without what it calls in turn."""
    waiting = [module]
    waiting += [i.target for i in imports_of(module, modules[module], modules) if i.function == function]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        # A module's packages are imported before it.
        waiting += [".".join(name.split(".")[:depth]) for depth in range(1, name.count(".") + 1)]
        if name in modules:
            found = imports_of(name, modules[name], modules)
            waiting += [i.target for i in found if i.function is None and not i.only_for_types]
    return seen


# The package itself


@pytest.fixture(scope="module")
def rnnlab_modules() -> dict[str, str]:
    modules = read_package(PACKAGE)
    assert len(modules) > 40
    return modules


def test_imports_point_one_way(rnnlab_modules: dict[str, str]) -> None:
    assert layer_complaints(rnnlab_modules) == []


def test_imports_inside_the_analysis_point_one_way(rnnlab_modules: dict[str, str]) -> None:
    assert analysis_complaints(rnnlab_modules) == []
    parts = {module.split(".")[2] for module in rnnlab_modules if module.startswith("rnnlab.analysis.")}
    assert parts == set(ANALYSIS_LAYERS)


def test_only_the_worker_knows_queue_and_training(rnnlab_modules: dict[str, str]) -> None:
    assert seam_complaints(rnnlab_modules) == []
    by_worker = {part_of(i.target) for i in all_imports(rnnlab_modules) if part_of(i.importer) == SEAM}
    assert {"queue", "training"} <= by_worker


def test_no_import_cycles(rnnlab_modules: dict[str, str]) -> None:
    assert cycles(rnnlab_modules) == []


@pytest.mark.parametrize("command", LIGHT_COMMANDS)
def test_light_commands_import_nothing_heavy(rnnlab_modules: dict[str, str], command: str) -> None:
    module, function, heavy = LIGHT_COMMANDS[command]
    assert f"def {function}(" in rnnlab_modules[module]
    assert loaded(rnnlab_modules, module, function) & heavy == set()


# The commands as they run


def _modules_after(arguments: list[str], folder: Path) -> set[str]:
    """Top-level packages in memory after the command, run in a process of its own."""
    script = (
        "import sys, json\n"
        "from rnnlab.cli.main import app\n"
        "try:\n    app(sys.argv[2:], standalone_mode=False)\n"
        "finally:\n"
        "    open(sys.argv[1], 'w').write(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    seen = folder / "modules.json"
    done = subprocess.run(
        [sys.executable, "-c", script, str(seen), *arguments],
        cwd=folder,
        env={**os.environ, "RNNLAB_DATA": str(folder / "data")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(seen.read_text()))


@pytest.mark.slow
def test_running_commands_load_nothing_heavy(tmp_path: Path) -> None:
    text = tmp_path / "words.txt"
    text.write_bytes(b"words, words, words. " * 100)
    columns = ["n_layers", "state_size", "use_residual", "use_output_gate", "use_forget_gate", "use_state_gate"]
    columns += ["use_new_state", "use_old_state", "min_loss"]
    rows = [columns, ["1", "32", "1", "0", "0", "0", "1", "0", "2.5"], ["2", "32", "1", "0", "0", "0", "1", "0", "2.4"]]
    (tmp_path / "runs.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    commands = {
        "--help": ["--help"],
        "import": ["import", "runs.csv", "--experiment", "demo", "--corpus", str(text)],
        "init": ["init", "demo", "--corpus", str(text)],
        "retry": ["retry", "--failed"],
        "status": ["status"],
        "best": ["best"],
        "data list": ["data", "list"],
        "analyze": ["analyze"],
        "export": ["export", "--to", "csv"],
    }
    after = {command: _modules_after(arguments, tmp_path) for command, arguments in commands.items()}
    assert {command: after[command] & LIGHT_COMMANDS[command][2] for command in after} == {
        name: set() for name in after
    }
    # The same look does see what is there: analysis draws.
    assert {"pandas", "matplotlib"} <= after["analyze"]


def test_the_walk_through_a_run_is_a_path(rnnlab_modules: dict[str, str]) -> None:
    """docs/architecture.md: at most thirty files, and each is imported by one before it."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    walk = re.findall(r"^\| \d+ \| `(rnnlab/\S+)\.py` \|", page, flags=re.MULTILINE)
    assert 20 < len(walk) <= 30
    modules = [path.replace("/", ".") for path in walk]
    assert set(modules) <= rnnlab_modules.keys()
    # The worker is a process of its own, which the command starts by its name.
    reached = {modules[0], "rnnlab.cli.worker", "rnnlab.worker.process"}
    for module in modules:
        assert module in reached, f"no file before it leads to {module}"
        reached |= reached_from(module, rnnlab_modules)


def reached_from(module: str, modules: dict[str, str]) -> set[str]:
    """What a module imports, and what other modules of its room import that it leads to."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        targets = {one.target for one in imports_of(waiting[0], modules[waiting[0]], modules)} & modules.keys() - found
        waiting = [*waiting[1:], *(one for one in targets if part_of(one) == part_of(waiting[0]) != "cli")]
        found |= targets
    return found


# The checks themselves, on small made-up packages


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rnnlab.queue.store", "from rnnlab.spec.grid import enumerate_configs"),
        ("rnnlab.queue.store", "def f():\n    import rnnlab.data.corpus"),
        ("rnnlab.queue.store", "import torch"),
        ("rnnlab.queue.store", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch.nn as nn"),
        ("rnnlab.training.cohort", "from rnnlab.queue.job import Job"),
        ("rnnlab.data.corpus", "from rnnlab import plans"),
        (
            "rnnlab.models.gated.gated_cohort",
            "class C:\n    def f(self):\n        from rnnlab.training.optimizer import CohortOptimizer",
        ),
        ("rnnlab.analysis.runs", "import torch"),
        ("rnnlab.analysis.runs", "from rnnlab.training.text_generation import sample"),
        ("rnnlab.plans.plan", "from rnnlab.cli.options import open_store"),
        ("rnnlab.files", "import numpy"),
        ("rnnlab.spec.grid", "try:\n    import sqlalchemy\nexcept ImportError:\n    pass"),
        ("rnnlab.novelty", "import torch"),
    ],
)
def test_a_planted_wrong_import_is_found(module: str, source: str) -> None:
    known = {"rnnlab.plans": "", "rnnlab.cli.options": "", module: source}
    assert len(layer_complaints(known)) == 1
    assert module in layer_complaints(known)[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("rnnlab.analysis.statistics.variance", "from rnnlab.analysis.plots.style import limits"),
        ("rnnlab.analysis.statistics.variance", "def f():\n    from rnnlab.analysis.words import names"),
        ("rnnlab.analysis.words.headlines", "from rnnlab.analysis.plots.heatmap import cell_text"),
        ("rnnlab.analysis.plots.pictures", "from rnnlab.analysis.html.page import Page"),
        ("rnnlab.analysis.runs", "from rnnlab.analysis.statistics import variances"),
        ("rnnlab.analysis.statistics.noise_model", "import matplotlib.pyplot"),
        ("rnnlab.analysis.novelty", "import json"),
    ],
)
def test_a_planted_wrong_import_inside_the_analysis_is_found(module: str, source: str) -> None:
    (complaint,) = analysis_complaints({module: source})
    assert module in complaint


def test_right_imports_are_no_complaint() -> None:
    modules = {
        "rnnlab.worker": "import os.path, torch\nfrom rnnlab.queue.store import S\nimport rnnlab.training.optimizer",
        "rnnlab.cli.main": "import typer\ndef f():\n    from rnnlab.worker import Worker",
        "rnnlab.queue.store": "from sqlalchemy.orm import x\nfrom rnnlab import errors\nfrom rnnlab.queue import job",
        "rnnlab.errors": "",
        "rnnlab.queue.job": "",
    }
    assert layer_complaints(modules) == seam_complaints(modules) == cycles(modules) == []


@pytest.mark.parametrize(
    "second", ["from rnnlab.training import optimizer", "def f():\n    import rnnlab.training.optimizer"]
)
def test_a_planted_second_seam_is_found(second: str) -> None:
    source = f"from rnnlab.queue.job import Job\n{second}"
    (complaint,) = seam_complaints({SEAM: source, "rnnlab.cli.run": source})
    assert complaint.startswith("rnnlab.cli.run ")


def test_a_planted_cycle_is_found() -> None:
    modules = {
        "rnnlab.queue.a": "from rnnlab.queue import b",
        "rnnlab.queue.b": "def f():\n    from rnnlab.queue.c import g",
        "rnnlab.queue.c": "import rnnlab.queue.a",
        "rnnlab.queue.d": "import rnnlab.queue.a",
    }
    assert cycles(modules) == ["rnnlab.queue.a -> rnnlab.queue.b -> rnnlab.queue.c -> rnnlab.queue.a"]
    assert cycles({**modules, "rnnlab.queue.c": ""}) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"rnnlab.cli.status": "def status():\n    import torch"},
        {"rnnlab.cli.status": "import torch.nn"},
        {"rnnlab.actions.status": "from rnnlab.files import f"},
        {"rnnlab.cli": "import torch"},
    ],
)
def test_a_planted_heavy_import_is_found(changed: dict[str, str]) -> None:
    modules = {
        "rnnlab": "",
        "rnnlab.cli": "",
        "rnnlab.cli.status": (
            "if TYPE_CHECKING:\n    import torch\ndef status():\n    from rnnlab.actions.status import g"
        ),
        "rnnlab.actions.status": "def g():\n    import torch",
        "rnnlab.files": "from torch import Tensor",
    }
    assert "torch" not in loaded(modules, "rnnlab.cli.status", "status")
    assert "torch" in loaded({**modules, **changed}, "rnnlab.cli.status", "status")
