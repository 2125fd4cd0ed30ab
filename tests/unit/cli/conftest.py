"""Commands in a folder of their own, as a person would type them there."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rnnlab.cli import main as cli_main
from rnnlab.files import sha256_hex


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class Cli:
    """Runs commands in `folder`; corpora are kept in a folder beside it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capfd = capfd

    def __call__(self, *arguments: str) -> Outcome:
        """Run the command in this process, through the function that the installed script leads to."""
        self._capfd.readouterr()
        self._monkeypatch.setattr(sys, "argv", ["rnnlab", *arguments])
        handler = signal.getsignal(signal.SIGINT)
        try:
            cli_main.main()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        else:
            code = 0
        finally:
            signal.signal(signal.SIGINT, handler)
        out, err = self._capfd.readouterr()
        return Outcome(code, out, err)

    def in_subprocess(self, *arguments: str) -> Outcome:
        """Run the command in a process of its own, off a terminal."""
        done = subprocess.run(
            [sys.executable, "-m", "rnnlab", *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def file(self, name: str, content: str | bytes) -> str:
        """Write a file in the folder; its name again."""
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def tree(self) -> dict[str, str]:
        """Every file and folder below the folder, with the hash of its contents."""
        return {
            str(path.relative_to(self.folder)): sha256_hex(path.read_bytes()) if path.is_file() else "folder"
            for path in self.folder.rglob("*")
        }


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
