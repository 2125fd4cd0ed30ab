"""The overhead of a worker: the share of its time that the job table, checkpoints and logging take.

    python -m benchmarks.overhead [--seconds 120] [--checkpoint-seconds 60] [--only TEXT]

One worker trains jobs of ordinary size on generated text, with the default settings of workers. Its time counts from
the first block. Training is the time inside blocks. Evaluation is the time in which finished runs are measured on
held-out text (a part of the experiment, not overhead). The rest is overhead. Checkpoints are written in parallel with
training: the core time that they take during a block is subtracted from training and counted as overhead too.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rnnlab.files import Workspace
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import make_plan
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Job
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import Experiment, parse_experiment
from rnnlab.spec.library import find_experiment
from rnnlab.training.cohort import Member
from rnnlab.training.context import TrainingContext
from rnnlab.worker.checkpoint_writer import CheckpointWriter
from rnnlab.worker.job_committer import JobCommitter, WrittenCheckpoints
from rnnlab.worker.process import Worker
from rnnlab.worker.worker_options import WorkerOptions

_GRIDS: dict[str, tuple[str, dict[str, list[Any]]]] = {
    "online, two layers of 256": ("dynamics", {"n_layers": [2], "state_size": [256]}),
    "online, one layer of 32": ("dynamics", {"n_layers": [1], "state_size": [32]}),
    "BPTT, 64/64, block 8": ("shakespeare", {"embedding_size": [64], "state_size": [64], "block_size": [8]}),
}


class _Clock:
    """A worker's view that adds up the reported times, and stops the worker after some time."""

    def __init__(self, seconds: float, stop: threading.Event) -> None:
        self.training = self.evaluation = self.checkpoints = self.waiting = 0.0
        self.begun = self.ended = 0.0
        self.finished = self.steps = 0
        self._seconds = seconds
        self._stop = stop

    def message(self, text: str) -> None:
        """Ignore messages."""

    def block_done(self, training: int, steps: int, seconds: float) -> None:
        """Add a block of steps."""
        self.ended = time.perf_counter()
        self.begun = self.begun or self.ended - seconds
        self.training += seconds
        self.steps += training * steps
        if self.ended > self.begun + self._seconds:
            self._stop.set()

    def job_done(self, job: Job, result: dict[str, Any]) -> None:
        """Count a finished run."""
        self.finished += 1


def experiment_of(name: str) -> Experiment:
    """A built-in experiment with fewer levels."""
    study, axes = _GRIDS[name]
    document = find_experiment(study).model_dump()
    return parse_experiment(
        {**document, "grid": {**document["grid"], **axes}, "rounds": [], "reproduction": None}, name
    )


def measure(name: str, folder: Path, seconds: float, checkpoint_seconds: float) -> None:
    """Train for `seconds`, and print how the time was spent."""
    workspace = Workspace(folder / "results", folder / "plots")
    workspace.results_dir.mkdir(parents=True)
    engine = open_database(workspace.default_database, create=True)
    store = Store(engine)
    initialize(store, make_plan(experiment_of(name), "generated"))
    options = WorkerOptions(device=torch.device("cpu"), checkpoint_seconds=checkpoint_seconds)
    worker = Worker(store, workspace, options, view := _Clock(seconds, threading.Event()))
    view._stop = worker.stop_requested
    whole = TrainingContext.results

    def timed(context: TrainingContext, finished: Sequence[Member], max_threads: int) -> list[dict[str, Any]]:
        begun = time.perf_counter()
        results = whole(context, finished, max_threads)
        view.evaluation += time.perf_counter() - begun
        return results

    write, wait = JobCommitter.checkpoint, CheckpointWriter.wait

    def timed_write(*arguments: Any) -> WrittenCheckpoints:
        begun = time.thread_time()
        written = write(*arguments)
        view.checkpoints += time.thread_time() - begun
        return written

    def timed_wait(checkpoints: CheckpointWriter) -> WrittenCheckpoints:
        begun = time.perf_counter()
        written = wait(checkpoints)
        view.waiting += time.perf_counter() - begun
        return written

    TrainingContext.results = timed  # type: ignore[method-assign, assignment]
    CheckpointWriter.wait = timed_wait  # type: ignore[method-assign, assignment]
    JobCommitter.checkpoint = timed_write  # type: ignore[method-assign, assignment]
    try:
        worker.run()
    finally:
        TrainingContext.results, JobCommitter.checkpoint, CheckpointWriter.wait = whole, write, wait  # type: ignore[method-assign]
        engine.dispose()
    wall = time.perf_counter() - view.begun
    training = view.training - max(0.0, view.checkpoints - view.waiting)  # while the worker waits, it does not train
    rest = wall - training - view.evaluation
    shares = "".join(f"{100 * part / wall:11.2f} %" for part in (training, view.evaluation, rest))
    print(f"{name:28}{wall:11.1f} s{view.steps:13,}{view.finished:13}{shares}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120.0, help="duration of training for each kind of job")
    parser.add_argument("--checkpoint-seconds", type=float, default=60.0, help="time between two checkpoints")
    parser.add_argument("--only", default="", help="only the kinds whose names contain this")
    options = parser.parse_args()
    head = "".join(f"{name:>13}" for name in ("wall", "model-steps", "finished", "training", "evaluation", "overhead"))
    print(f"{'jobs':28}{head}")
    for name in _GRIDS:
        if options.only in name:
            with tempfile.TemporaryDirectory(prefix="rnnlab-overhead-") as folder:
                measure(name, Path(folder), options.seconds, options.checkpoint_seconds)


if __name__ == "__main__":
    main()
