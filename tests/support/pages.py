"""The pages of the documentation, and the commands that stand in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.support.paths import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
]


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
