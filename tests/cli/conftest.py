"""Folders in which commands run: empty, with jobs, with results."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Cli


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], small_toml: str
) -> Iterator[Cli]:
    """An empty folder but for small.toml, the experiment of the tests."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RNNLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("RNNLAB_DB", "RNNLAB_RESULTS", "RNNLAB_PLOTS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    runner = Cli(folder, monkeypatch, capfd)
    runner.file("small.toml", small_toml)
    yield runner


@pytest.fixture
def with_jobs(cli: Cli) -> Cli:
    """The folder after `rnnlab init small.toml`."""
    assert cli("init", "small.toml").code == 0
    return cli


@pytest.fixture
def with_results(cli: Cli) -> Cli:
    """The folder with the first round of small.toml imported: its four jobs are done."""
    cli.file("runs.csv", "n_layers,use_forget_gate,min_loss\n1,0,2.4\n1,1,2.3\n2,0,2.2\n2,1,2.1\n")
    assert cli("import", "runs.csv", "--experiment", "small.toml").code == 0
    return cli
