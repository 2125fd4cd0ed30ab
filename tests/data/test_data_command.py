from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from rnnlab.cli.data import data_app
from rnnlab.data.known_corpora import PublicCorpus, known_names
from rnnlab.errors import CorpusError
from rnnlab.files import sha256_hex
from tests.data.conftest import Server

TEXT = b"words, words, words\n"
RUN = CliRunner()


def test_list_off_a_terminal_is_one_line_a_corpus() -> None:
    result = RUN.invoke(data_app, ["list"], catch_exceptions=False)
    fields = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[0] for line in fields] == known_names()
    assert {len(line) for line in fields} == {5}
    assert fields[0][1:3] == ["can be fetched", "100000000"]


def test_list_on_a_terminal_is_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnlab.cli import data
    from rnnlab.data.listing import list_corpora

    screen = StringIO()
    monkeypatch.setattr("rich.console.Console", lambda: Console(file=screen, width=200))
    data._print_table(list_corpora())
    assert "100,000,000" in screen.getvalue()
    assert "description" in screen.getvalue()


def test_add(tmp_path: Path) -> None:
    path = tmp_path / "hamlet.txt"
    path.write_bytes(TEXT)
    result = RUN.invoke(data_app, ["add", str(path), "--name", "words"], catch_exceptions=False)
    assert result.stdout == f"words\t{len(TEXT)}\t{sha256_hex(TEXT)}\n"
    with pytest.raises(CorpusError, match=r"no file"):
        RUN.invoke(data_app, ["add", "missing.txt"], catch_exceptions=False)


def test_fetch(server: Server, register: Callable[..., PublicCorpus]) -> None:
    register(TEXT, server.url)
    server.content = TEXT
    result = RUN.invoke(data_app, ["fetch", "timemachine"], catch_exceptions=False)
    assert result.stdout == f"timemachine\t{len(TEXT)}\t{sha256_hex(TEXT)}\n"
    with pytest.raises(CorpusError, match=r"no known corpus 'nothing'"):
        RUN.invoke(data_app, ["fetch", "nothing"], catch_exceptions=False)


@pytest.mark.parametrize("command", [[], ["list"], ["fetch"], ["add"]])
def test_every_command_has_help(command: list[str]) -> None:
    result = RUN.invoke(data_app, [*command, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "Usage" in result.stdout
