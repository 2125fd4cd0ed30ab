"""Sweeps in separate folders: worker processes to kill, workers in this process, and their results."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from sqlalchemy import Engine

from rnnlab.files import Workspace, parse_checkpoint_name
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import config_of, make_plan
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Curve, Event, Job, Status
from rnnlab.queue.reader import Reader
from rnnlab.queue.store import Store
from rnnlab.spec.library import load_experiment
from rnnlab.worker import Worker, WorkerOptions

EXPERIMENT = "recovery"
FIRST_ROUND = "explore"
PATIENCE_SECONDS = 90.0  # for events that take a second or two, unless the machine is busy

ELSEWHERE = Path(__file__).with_name("elsewhere.py")  # rnnlab as if on another host

_Found = TypeVar("_Found")

_EXPERIMENT_FILE = """\
name = "recovery"
corpus = "{corpus}"
evaluation = {{ windows = 4 }}
[model]
cell = "gated"
state_size = 16
[training]
regime = "online"
batch_size = 8
window_length = 47
record_every = 25
[grid]
n_layers = {layers}
windows = {windows}
learning_rate = {learning_rates}
use_state_gate = [false, true]
use_output_gate = {output_gates}
use_old_state = {old_states}
"""


def experiment_file(
    *,
    layers: Sequence[int] = (1,),
    windows: Sequence[int] = (4,),
    learning_rates: Sequence[float] = (5e-3,),
    output_gates: Sequence[bool] = (False, True),
    old_states: Sequence[bool] = (False, True),
    corpus: str = "generated",
) -> str:
    """An experiment with mixed gates and one group for each number of layers."""
    axes = {"layers": layers, "windows": windows, "learning_rates": learning_rates}
    axes |= {"output_gates": output_gates, "old_states": old_states}
    return _EXPERIMENT_FILE.format(corpus=corpus, **{name: str(list(a)).lower() for name, a in axes.items()})


# Steps of a job on each window. No window ends at the end of a block, so that the carried state matters there.
WINDOW_STEPS = 46
# Long jobs, so that a signal hits the middle of a run: 16 in two groups, and half of them.
LONG = experiment_file(layers=(1, 2), windows=(250,))
LONG_PART = experiment_file(windows=(250,))
# For workers in this process, which can be stopped after any block: 8 jobs of 92 steps, 8 of 138, all in one group.
SHORT = experiment_file(windows=(2, 3))
SHORT_PART = experiment_file(windows=(3,), old_states=(False,))
BLOCK_STEPS = 20  # of workers in this process


def wait_for(what: str, look: Callable[[], _Found | None], seconds: float = PATIENCE_SECONDS) -> _Found:
    """Wait until the result of `look` is neither None nor False nor empty, and return it. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s without success for: {what}"
        time.sleep(0.01)
    return found


@dataclass(frozen=True)
class Outcome:
    """The results of a sweep, by config hash."""

    checkpoints: dict[str, bytes]  # the files of the final checkpoints
    curves: dict[str, Curve]


@dataclass(frozen=True)
class OtherHost:
    """A host that shares the files but has its own clock."""

    name: str
    clock: Path  # a file with the error of the clock in seconds

    def set_clock(self, seconds: float) -> None:
        """Set the error of the clock."""
        new = self.clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.clock)


class Process:
    """A command of rnnlab in a separate process, with its messages in a file."""

    def __init__(self, arguments: Sequence[str], folder: Path, number: int, host: "OtherHost | None" = None) -> None:
        program = ["-m", "rnnlab"] if host is None else [str(ELSEWHERE), host.name, str(host.clock)]
        self._log = folder / f"stderr-{number}.txt"
        with self._log.open("wb") as stream:
            self._popen = subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stream,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def messages(self) -> str:
        """Its output on stderr so far."""
        return self._log.read_text(encoding="utf-8")

    @property
    def runs(self) -> bool:
        """Whether it is still running."""
        return self._popen.poll() is None

    def send(self, signum: signal.Signals) -> None:
        """Send a signal. Fails if the process has ended."""
        assert self.runs, f"ended with {self._popen.returncode} before {signum.name}:\n{self.messages}"
        self._popen.send_signal(signum)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """The exit code. Fails after `seconds`."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s:\n{self.messages}") from None

    def end(self) -> None:
        """Kill the process, unless it has ended."""
        self._popen.kill()
        self._popen.wait()


@contextmanager
def ignoring(*signums: signal.Signals) -> Iterator[None]:
    """Processes started inside ignore these signals, as under nohup or after `trap ''` in a shell."""
    former = {signum: signal.signal(signum, signal.SIG_IGN) for signum in signums}
    try:
        yield
    finally:
        for signum, handler in former.items():
            signal.signal(signum, handler)


@dataclass
class View:
    """Collects the reports of a worker in this process; `on_block` is called after each block of training."""

    on_block: Callable[[], object] = lambda: None
    messages: list[str] = field(default_factory=list)
    done: list[int] = field(default_factory=list)  # ids of the jobs that ended, in this order
    blocks: list[int] = field(default_factory=list)  # number of jobs in each block
    steps: list[int] = field(default_factory=list)  # that each of them made

    @property
    def text(self) -> str:
        return "\n".join(self.messages)

    def message(self, text: str) -> None:
        self.messages.append(text)

    def block_done(self, training: int, steps: int, seconds: float) -> None:
        self.blocks.append(training)
        self.steps.append(steps)
        self.on_block()

    def job_done(self, job: Job, result: dict[str, Any]) -> None:
        self.done.append(job.id)


class Site:
    """One results folder, its job table and the processes that work on it."""

    def __init__(self, folder: Path, *, results: Path | None = None, database: Path | str | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.workspace = Workspace(results or folder / "my results", folder / "plots")
        self.database = database or self.workspace.default_database
        self.processes: list[Process] = []
        self._engines: list[Engine] = []
        self._looking: Engine | None = None

    # Jobs

    def init(self, experiment: str) -> "Site":
        """Add the jobs of the experiment to the table."""
        path = self.folder / "experiment.toml"
        path.write_text(experiment, encoding="utf-8")
        self.workspace.results_dir.mkdir(parents=True, exist_ok=True)
        engine = open_database(self.database, create=True)
        initialize(Store(engine), make_plan(load_experiment(path), None))
        engine.dispose()
        return self

    @property
    def reader(self) -> Reader:
        """For reading the table without a lock."""
        if self._looking is None:
            self._looking = open_database(self.database, create=False, read_only=True)
            self._engines.append(self._looking)
        return Reader(self._looking)

    def store(self) -> Store:
        """For changing the table."""
        self._engines.append(open_database(self.database, create=False))
        return Store(self._engines[-1])

    def jobs(self, status: Status | None = None) -> list[Job]:
        return self.reader.jobs(EXPERIMENT, FIRST_ROUND, status)

    def job(self, **settings: object) -> Job:
        """The one job with these settings."""
        (found,) = (
            job
            for job in self.jobs()
            if all(config_of(job).settings[name] == value for name, value in settings.items())
        )
        return found

    def run_dir(self, job: Job) -> Path:
        return self.workspace.run_dir(job.experiment, job.round, job.config_hash)

    def checkpoints(self, job: Job) -> list[Path]:
        """The job's checkpoint files, the most advanced first."""
        found = [(parse_checkpoint_name(path.name), path) for path in self.run_dir(job).iterdir()]
        ranked = sorted(((parsed[1], parsed[0], path) for parsed, path in found if parsed), reverse=True)
        return [path for _, _, path in ranked]

    def log(self, job: Job) -> str:
        return (self.run_dir(job) / "log.txt").read_text(encoding="utf-8")

    def events(self, kind: str) -> list[Event]:
        return [event for event in self.reader.events(limit=None) if event.kind == kind]

    # Workers

    def start(self, *flags: str, host: OtherHost | None = None) -> Process:
        """A `rnnlab worker` process; `host`: as if on another host."""
        return self.start_command("worker", *flags, *self.place, host=host)

    @property
    def place(self) -> list[str]:
        """The flags with which a command uses this folder."""
        flags = ["--results", str(self.workspace.results_dir)]
        return flags if self.database == self.workspace.default_database else [*flags, "--db", str(self.database)]

    def start_command(self, *arguments: str, host: OtherHost | None = None) -> Process:
        """An `rnnlab` process."""
        self.processes.append(Process(arguments, self.folder, len(self.processes), host))
        return self.processes[-1]

    def finish(self, *flags: str) -> Process:
        """Let another worker process train the remaining jobs."""
        process = self.start(*flags)
        assert process.wait() == 0, process.messages
        return process

    def worker_of(self, process: Process) -> str | None:
        """The id under which the process registered as a worker."""
        return next((record.id for record in self.reader.workers() if record.pid == process.pid), None)

    def midway(self, workers: int) -> bool:
        """Whether this number of workers each train jobs that have a checkpoint and are not done.

        Fails if there is nothing left to do: then the jobs are too short for this machine.
        """
        jobs = self.jobs()
        assert any(job.status is not Status.DONE for job in jobs), "all jobs ended too soon: make them longer"
        halfway = [job for job in jobs if job.status is Status.RUNNING and 0 < job.step < job.target_steps]
        return len({job.worker_id for job in halfway}) >= workers

    @contextmanager
    def worker(self, view: View, **options: Any) -> Iterator[Worker]:
        """A worker in this process, to be run by the caller."""
        engine = open_database(self.database, create=False)
        try:
            chosen = WorkerOptions(torch.device("cpu"), **options)
            yield Worker(Store(engine), self.workspace, chosen, view)
        finally:
            engine.dispose()

    def train(self, blocks: int | None = None, on_block: Callable[[], object] = lambda: None, **options: Any) -> View:
        """Run a worker in this process until no job is left, or stop it after some blocks."""
        view = View()
        with self.worker(view, **options) as worker:

            def after_block() -> None:
                on_block()
                if blocks is not None and len(view.blocks) >= blocks:
                    worker.stop_requested.set()

            view.on_block = after_block
            worker.run()
        return view

    # Results

    def outcome(self) -> Outcome:
        """Final checkpoints and curves of the jobs that are done and not diverged."""
        curves = self.reader.curves(EXPERIMENT)
        outcome = Outcome({}, {})
        for job in self.jobs(Status.DONE):
            if job.result and job.result["checkpoint"]:
                path = self.workspace.results_dir / job.result["checkpoint"]
                outcome.checkpoints[job.config_hash] = path.read_bytes()
                outcome.curves[job.config_hash] = curves[job.id]
        return outcome

    def close(self) -> None:
        """End all processes that still run."""
        for process in self.processes:
            process.end()
        for record in self.reader.workers() if Path(self.database).exists() else []:
            # Child processes of a pool have their own process sessions.
            if record.stopped_at is None and record.pid != os.getpid() and _is_ours(record.pid, self.folder):
                os.kill(record.pid, signal.SIGKILL)
        for engine in self._engines:
            engine.dispose()


def _is_ours(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve() == folder.resolve()
    except OSError:
        return False


def resume_command(process: Process) -> list[str]:
    """The arguments of the command that a stopped worker printed for resuming; exactly one such line."""
    (line,) = re.findall(r"^(?:.*\] )?to continue: (.*)$", process.messages, re.MULTILINE)
    words = shlex.split(line)
    assert words[0] == "rnnlab"
    return words[1:]


def assert_done_once(site: Site) -> None:
    """Every job is done; it was finished once, by its last claim; no older claim wrote anything after a newer one."""
    for job in site.jobs():
        history = site.reader.events(job.id, limit=None)
        kinds = Counter(event.kind for event in history)
        assert job.status is Status.DONE, (job.id, job.error)
        assert kinds["finished"] == 1, history
        assert history[-1].kind == "finished", history
        assert history[-1].epoch == job.epoch, history
        assert kinds["claimed"] + kinds["resumed"] == job.epoch, history
        assert [event.epoch for event in history] == sorted(event.epoch for event in history), history


def assert_same_bits(site: Site, reference: Outcome, jobs: Sequence[Job] | None = None) -> None:
    """These jobs (all, if left out) have the reference's final checkpoints and curves, and a tidy folder."""
    outcome = site.outcome()
    for job in site.jobs() if jobs is None else jobs:
        key = job.config_hash
        assert key in outcome.checkpoints, f"job {job.id} has no final checkpoint"
        assert outcome.checkpoints[key] == reference.checkpoints[key], f"job {job.id} has other bytes"
        assert outcome.curves[key] == reference.curves[key]
        left = sorted(path.name for path in site.run_dir(job).iterdir())
        assert left == [site.checkpoints(job)[0].name, "log.txt"], left
