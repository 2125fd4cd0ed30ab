"""Suffixes of tensors' names (`h_MBS`), and shapes in docstrings and comments, have only letters of the legend."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LEGEND = ROOT / "docs" / "architecture.md"
FOLDERS = ("rnnlab", "tests", "benchmarks", "docs/examples")
NOT_TENSORS = {"do_GET"}  # the name that http.server demands

_SUFFIX = re.compile(r"_*[a-z][a-z0-9_]*_([A-Z1]*[A-Z][A-Z1]*)")
_SIZE = r"(?:\d*[A-Z](?: [A-Z])*(?: [+-] \d)?|\d+|\.\.\.)"
_SHAPE = re.compile(rf"\[({_SIZE}(?:, {_SIZE})*)\]")


def letters(page: str) -> list[str]:
    """The letters of the legend's table, in order."""
    return re.findall(r"^\| ([A-Z1]) \|", page.partition("## Shape letters\n")[2], flags=re.MULTILINE)


def names(source: str) -> Iterator[tuple[int, str]]:
    """(line, name) of every variable, argument, attribute and function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.FunctionDef):
            yield node.lineno, node.name


def prose(source: str) -> Iterator[tuple[int, str]]:
    """(line, text) of every comment and docstring."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            yield token.start[0], token.string


def unknown_letters(source: str, legend: set[str]) -> list[str]:
    """A line for each letter in a suffix, a shape or a line `Shapes:` that the legend does not have."""
    found = []
    for line, name in names(source):
        suffix = _SUFFIX.fullmatch(name)
        if suffix and name not in NOT_TENSORS and set(suffix[1]) - legend:
            found.append(f"line {line}: {name}")
    for line, text in prose(source):
        found += [
            f"line {line}: [{sizes}]" for sizes in _SHAPE.findall(text) if set(re.findall("[A-Z]", sizes)) - legend
        ]
        for paragraph in re.findall(r"\bShapes: (.*?)(?:\.\s|\.?\"\"\"|\n\n)", text, flags=re.DOTALL):
            found += [f"line {line}: Shapes: {one}" for one in re.findall(r"\b[A-Z]\b", paragraph) if one not in legend]
    return found


@pytest.fixture(scope="module")
def legend() -> set[str]:
    found = letters(LEGEND.read_text(encoding="utf-8"))
    assert len(found) == len(set(found)) > 10  # each letter has one meaning
    return set(found)


def _sources() -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def test_all_letters_are_in_the_legend(legend: set[str]) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}, {line}"
        for path in _sources()
        for line in unknown_letters(path.read_text(encoding="utf-8"), legend)
    ]
    assert wrong == []


def test_all_letters_of_the_legend_are_used(legend: set[str]) -> None:
    used = set()
    for path in _sources():
        for _, name in names(path.read_text(encoding="utf-8")):
            if suffix := _SUFFIX.fullmatch(name):
                used |= set(suffix[1])
    assert legend - used <= {"D"}  # no tensor has an axis of the embedding alone in its name


@pytest.mark.parametrize(
    "source",
    [
        "h_MYS = 1",
        "def f(h_MBY):\n    pass",
        "self._h_Y = 1",
        '"""Shapes: M models, Y things."""',
        '"""A state [M, B, Y]."""',
        "h = 1  # [M, 2Y]",
    ],
)
def test_a_planted_letter_is_found(source: str, legend: set[str]) -> None:
    assert len(unknown_letters(source, legend)) == 1


def test_other_names_are_not_suffixes(legend: set[str]) -> None:
    source = "MAX_SIZE = X = a_x = Class_X = 1\ndef do_GET(): pass\nvalues: list[X]\n"
    assert unknown_letters(source, legend) == []
