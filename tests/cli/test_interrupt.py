"""Ctrl-C in the first moments of a command, while its modules are being imported."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# Python imports it before anything else: a Ctrl-C at the moment when a module is looked for, wherever that is.
AT_AN_IMPORT = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            print("looked for", flush=True)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
"""


def script() -> list[str]:
    """What the installed script does."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["rnnlab"]
    module, function = entry.split(":")
    return ["-c", f"import sys; from {module} import {function}; sys.exit({function}())"]


def run(folder: Path, command: list[str], module: str) -> "subprocess.CompletedProcess[str]":
    (folder / "sitecustomize.py").write_text(AT_AN_IMPORT.format(module=module))
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("start", [["-m", "rnnlab"], script()], ids=["module", "script"])
@pytest.mark.parametrize("module", ["rnnlab.cli.main", "typer", "rnnlab.errors", "rnnlab.actions.init", "sqlalchemy"])
def test_ctrl_c_while_modules_are_imported(tmp_path: Path, start: list[str], module: str) -> None:
    done = run(tmp_path, [sys.executable, *start, "init", "demo"], module)
    assert (done.returncode, done.stdout, done.stderr) == (130, "looked for\n", "rnnlab: interrupted\n")


def test_ctrl_c_that_is_ignored_while_modules_are_imported(tmp_path: Path) -> None:
    command = ["sh", "-c", """trap '' INT; exec "$@" """, "sh", sys.executable, "-m", "rnnlab", "--version"]
    done = run(tmp_path, command, "typer")
    assert (done.returncode, done.stdout.splitlines()[0], done.stderr) == (0, "looked for", "")
