"""What the pages say can be typed is typed, word for word, in an empty folder."""

import json
import os
import re
import runpy
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from rnnlab.queue.database import open_database
from rnnlab.queue.job import Status
from rnnlab.queue.reader import Reader
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """All fenced blocks of a page of docs/, in order."""
    return [Block(*found) for found in _BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))]


def as_script(blocks: list[Block]) -> str:
    """The blocks for one bash, as one person would type them: files are saved, Python is fed to python.

    A text block, which is what the reader should see, becomes a line on stdout that says where that was to be.
    """
    lines = ["set -eo pipefail"]
    for number, block in enumerate(blocks):
        if block.language == "sh":
            lines.append(block.text)
        elif block.language == "toml":
            name = re.match(r"# (\S+\.toml)\n", block.text)
            assert name is not None, "the first line of a file is its name"
            lines.append(f"cat > {name[1]} <<'END-OF-FILE'\n{block.text}END-OF-FILE")
        elif block.language == "python":
            lines.append(f"python - <<'END-OF-FILE'\n{block.text}END-OF-FILE")
        else:
            assert block.language == "text", block.language
            lines.append(f"echo '=== {number}'")
    return "\n".join(lines)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: an empty folder, with the environment's programs on the PATH."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith("RNNLAB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    return folder


def test_the_first_sweep(here: Path) -> None:
    blocks = blocks_of("first-sweep.md")
    assert {block.language for block in blocks} == {"sh", "toml", "python", "text"}
    done = subprocess.run(
        ["bash", "-c", as_script(blocks)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240
    )
    out = done.stdout
    assert done.returncode == 0, f"{out}\n{done.stderr}"

    # What the page shows was printed by what stands before it.
    printed = re.split(r"^=== \d+\n", out, flags=re.MULTILINE)
    shown = [block.text for block in blocks if block.language == "text"]
    for before, text in zip(printed, shown, strict=False):
        assert set(text.splitlines()) <= set(before.splitlines()), before

    engine = open_database(here / "results" / "rnnlab.db", create=False, read_only=True)
    table = Reader(engine)
    jobs, workers = table.jobs("first"), table.workers()
    engine.dispose()
    assert [job.status for job in jobs] == [Status.DONE] * 12
    assert len(workers) == 2
    # A worker that ends by itself says how much it has trained: the first one could not.
    last_lines = [(here / f"worker-{number}.log").read_text() for number in (1, 2)]
    assert "finished here, " in last_lines[1]
    assert not re.search(r"jobs? finished here, .* model-steps in", last_lines[0])

    frame = pd.read_csv(here / "results" / "first" / "explore.csv")
    best = frame.iloc[0]
    assert f"Best: {best['validation_loss']:.4f}" in out
    assert best["validation_loss"] < 2.6  # it has learned something: 5.5 is knowing nothing, 3.0 counting characters
    written, described = printed[-1].split("results/first/report.html\n")[-1], repr(best["cell"])
    assert written.startswith("The ")
    assert f"cell={described}" in written
    assert "after 'The statem' comes 'e'" in written


def test_the_example_program_and_the_page_about_it(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(DOCS / "examples" / "analyse_in_python.py"), run_name="__main__")
    out = capfd.readouterr().out
    assert out.startswith("4 jobs added\n")
    assert (here / "curves.png").read_bytes().startswith(b"\x89PNG")
    written = out.partition(" writes:\n")[2]
    assert (written[:4], len(written)) == ("The ", len("The ") + 150 + 1)

    names: dict[str, object] = {}
    for block in blocks_of("python.md"):
        assert block.language == "python"
        exec(compile(block.text, "python.md", "exec"), names)
        for comment in re.findall(r"print\(error\)  # (.*)", block.text):
            assert capfd.readouterr().out == f"{comment}\n"
    printed = capfd.readouterr().out
    assert printed.endswith("results/cells/report.md\nTrue\n")
    best = json.loads((here / "results" / "cells" / "explore-best.json").read_text())
    assert f"cell='{best['model']['cell']}'" in printed
