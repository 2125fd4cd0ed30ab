"""The kernels' README: its code runs, and prints what the page shows."""

import contextlib
import io
import re
from pathlib import Path

import torch

from rnnlab.kernels import build
from rnnlab.kernels.operations import Code
from tests.support.kernels import need_kernels

PAGE = Path(build.__file__).with_name("README.md")


def _blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of each code block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def printed_blocks(text: str) -> list[tuple[str, str]]:
    """(what each text block of the page shows, what the code before it prints)."""
    namespace: dict[str, object] = {}
    pairs = []
    output = ""
    for language, content in _blocks(text):
        if language == "python":
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream):
                exec(compile(content, PAGE.name, "exec"), namespace)
            output = stream.getvalue()
        else:
            pairs.append((content, output))
    return pairs


def test_the_page_shows_what_its_code_prints() -> None:
    need_kernels()
    threads = torch.get_num_threads()
    pairs = printed_blocks(PAGE.read_text(encoding="utf-8"))
    torch.set_num_threads(threads)
    assert len(pairs) == 5
    for shown, printed in pairs:
        assert shown == printed


def test_the_page_names_the_files_and_the_next_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"`([a-z_]+\.(?:py|c|h))`", text):
        assert (PAGE.parent / name).is_file(), name
    assert f"`SQRT = {len(Code)}`" in text
