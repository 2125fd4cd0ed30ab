"""Every command and every option says what it is for, without waiting for torch."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import rnnlab
from rnnlab.cli.main import app
from tests.support.commands import Cli

HEAVY = {"torch", "seaborn", "pandas", "matplotlib", "numpy", "sqlalchemy", "pydantic"}


def _commands(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, node
    for name, command in getattr(node, "commands", {}).items():
        yield from _commands(command, (*path, name))


COMMANDS = dict(_commands(typer.main.get_command(app)))


def _words(text: str) -> str:
    """Without the frames, the marks of markdown, and the places where a line ends."""
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).replace("`", "").split())


def test_every_command_is_found() -> None:
    names = {" ".join(path) for path in COMMANDS}
    assert {"", "init", "worker", "analyze", "run", "demo", "status", "best", "retry", "import", "bench"} <= names
    assert {"sample", "eval"} <= names
    assert {"data", "data list", "data fetch", "data add"} <= names


@pytest.mark.parametrize("path", COMMANDS, ids=[" ".join(path) or "rnnlab" for path in COMMANDS])
def test_help(cli: Cli, path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    outcome = cli(*path, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    printed = _words(outcome.out)
    assert f"Usage: {' '.join(('rnnlab', *path))} " in printed
    assert command.help
    assert _words(command.help) in printed
    for parameter in command.params:
        if parameter.name in ("install_completion", "show_completion") or getattr(parameter, "hidden", False):
            continue
        assert parameter.help, f"{path}: {parameter.name} has no help"
        assert _words(parameter.help) in printed
    for name, inner in getattr(command, "commands", {}).items():
        assert re.search(rf"\b{name} {re.escape(_words(inner.help.split(chr(10) * 2)[0]))}", printed)


def test_no_arguments_is_a_question_for_help(cli: Cli) -> None:
    outcome = cli()
    assert "Usage: rnnlab" in outcome.out + outcome.err
    assert cli.tree().keys() == {"small.toml"}


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"{rnnlab.__version__}\n"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_do_not_wait_for_heavy_packages(option: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rnnlab", option],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "rnnlab.cli.main" in imported
    assert not {name.split(".")[0] for name in imported} & HEAVY
