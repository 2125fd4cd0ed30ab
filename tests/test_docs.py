"""The documentation is up to date: commands in it exist, links lead somewhere, generated pages are as generated."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from rnnlab.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "decisions").glob("*.md"))]


def shell_lines(page: Path) -> list[str]:
    """The commands of the page's shell blocks, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = (line.split(" #")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]


def rnnlab_calls(page: Path) -> Iterator[list[str]]:
    """The arguments of every `rnnlab ...` in shell blocks and in running text."""
    inline = re.findall(r"`(rnnlab [^`]+)`", page.read_text(encoding="utf-8"))
    for line in [*shell_lines(page), *inline]:
        for part in re.split(r"&&|\|\||;|\||&", line):
            if part.split() and part.split()[0].endswith("rnnlab"):
                yield shlex.split(part.replace("...", ""))[1:]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def complaint(arguments: list[str]) -> str:
    """What is wrong with a call that the documentation shows; empty where nothing is."""
    command: Any = typer.main.get_command(app)
    names = [word for word in arguments if not word.startswith("-")]
    while getattr(command, "commands", None) and names:
        if names[0] not in command.commands:
            return f"no command {names[0]}"
        command = command.commands[names.pop(0)]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "--version"}
    unknown = [word for word in arguments if word.startswith("--") and word.split("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_in_the_documentation_exists(page: Path) -> None:
    if page.name == "commands.md":
        return
    wrong = {" ".join(call): why for call in rnnlab_calls(page) if (why := complaint(call))}
    assert not wrong


def test_a_wrong_command_would_be_found() -> None:
    assert complaint(["fly", "--high"]) == "no command fly"
    assert complaint(["data", "fly"]) == "no command fly"
    assert complaint(["worker", "dynamics", "--fast"]) == "no option --fast"
    assert complaint(["worker", "dynamics", "--processes", "2"]) == ""


@pytest.mark.parametrize("name", ["commands.md", "settings.md"])
def test_generated_pages_are_as_generated(name: str) -> None:
    pages = generator().PAGES
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages[name](), "run `python docs/generate.py`"


def test_every_setting_is_documented() -> None:
    module = generator()
    for heading, model, _ in module._SECTIONS:
        for key, field in model.model_fields.items():
            assert field.description or key in ("cell", "regime", "kind"), f"{heading}: {key}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing
