"""Commands in a folder of their own, as a person would type them there."""

import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from rnnlab.cli import main as cli_main
from rnnlab.data.tokenizer import make_tokenizer
from rnnlab.files import Workspace, sha256_hex
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Job, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.training import checkpoint
from rnnlab.training.run_state import fresh_state


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


def jobs(database: Path) -> list[Job]:
    engine = open_database(database, create=False, read_only=True)
    try:
        return Store(engine).jobs()
    finally:
        engine.dispose()


def check_complaint(cli: Cli, arguments: list[str], complaint: str, *, subprocess: bool = False) -> None:
    """The command ends with this one line and leaves the folder as it was."""
    before = cli.tree()
    outcome = cli.in_subprocess(*arguments) if subprocess else cli(*arguments)
    assert re.fullmatch(rf"rnnlab: .*{complaint}.*\n", outcome.err), outcome.err
    assert (outcome.code, outcome.out) == (2, "")
    assert cli.tree() == before


TOKENIZERS = {
    "bytes": '{ kind = "bytes" }',
    "characters": '{ kind = "characters" }',
    "padded": '{ kind = "characters", padding = true }',
    "letters": '{ kind = "letters" }',
    "bpe": '{ kind = "bpe", vocab_size = 300 }',
}


def init_with_tokenizer(cli: Cli, small_toml: str, tokenizer: str) -> None:
    cli.file("small.toml", f"tokenizer = {TOKENIZERS[tokenizer]}\n{small_toml}")
    assert cli("init", "small.toml").code == 0


def running_job(cli: Cli) -> tuple[Job, Path]:
    """Claim a job for a worker that goes on, and lay its checkpoint down, as a worker does."""
    engine = open_database(cli.folder / "results" / "rnnlab.db", create=False)
    store, now = Store(engine), Store(engine).clock()
    store.register_worker(WorkerRecord("w", "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    (job,) = store.claim("w", 1)
    vocabulary = stored_plan(store, "small").vocabulary
    engine.dispose()
    config = config_of(job)
    settings = config.tokenizer
    tokenizer = make_tokenizer(settings.kind, vocabulary, settings.vocabulary_sha256)
    run_dir = Workspace(cli.folder / "results", cli.folder / "plots").run_dir("small", job.round, job.config_hash)
    checkpoint.write(run_dir, config, fresh_state(config, tokenizer.vocabulary_size), job.epoch, vocabulary)
    return job, run_dir
