"""The documentation is up to date: commands in it exist, links lead somewhere, generated pages are as generated."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from rnnlab.cli.main import app
from tests.support.pages import PAGES, rnnlab_calls
from tests.support.paths import ROOT


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
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == pages[name](), "run `python -m docs.generate`"


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_of_the_repository_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"\b((?:rnnlab|tests|benchmarks|experiments)/[\w./-]*[\w/])", page.read_text(encoding="utf-8"))
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing
