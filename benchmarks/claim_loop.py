"""Processes that claim and finish jobs as fast as possible, in the job table or in an Optuna study, for a fixed time.

    python -m benchmarks.claim_loop table URL SECONDS LIMIT
    python -m benchmarks.claim_loop optuna URL SECONDS LIMIT

LIMIT is the number of jobs that one claim takes. For a study, it is the number of trials that were enqueued.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "benchmark"  # no lock files: the leases of these workers are long enough


@dataclass(frozen=True)
class Load:
    """The combined result of several processes."""

    pairs: int  # jobs claimed and finished, each counted once
    seconds: float  # of the slowest process
    claim_seconds: list[float]  # of each claim that returned jobs
    duplicates: int  # jobs that were claimed more than once
    errors: int  # calls that raised an exception, so that nothing was claimed or finished

    @property
    def per_second(self) -> float:
        return self.pairs / self.seconds


def run(kind: str, url: str, *, processes: int, seconds: float, limit: int) -> Load:
    """Start the processes, let them begin at the same time, and add up their reports."""
    command = [sys.executable, "-m", __name__, kind, url, str(seconds), str(limit)]
    root = Path(__file__).parents[1]
    children = [
        subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(processes)
    ]
    try:
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError("a process ended before its work began")
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        reports: list[dict[str, Any]] = [json.loads(child.communicate()[0]) for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    taken = Counter(job_id for report in reports for job_id in report["taken"])
    return Load(
        pairs=len({job_id for report in reports for job_id in report["finished"]}),
        seconds=max(report["seconds"] for report in reports),
        claim_seconds=sorted(value for report in reports for value in report["claim_seconds"]),
        duplicates=sum(count > 1 for count in taken.values()),
        errors=sum(report["errors"] for report in reports),
    )


class _Report:
    """The report of one process."""

    def __init__(self, seconds: float) -> None:
        self.taken: list[int] = []
        self.claim_seconds: list[float] = []
        self.finished: list[int] = []
        self.errors = 0
        print("ready", flush=True)
        sys.stdin.readline()
        self._begun = time.perf_counter()
        self._until = self._begun + seconds

    def is_over(self) -> bool:
        return time.perf_counter() > self._until

    def print(self) -> None:
        self.__dict__["seconds"] = time.perf_counter() - self._begun
        print(json.dumps({name: value for name, value in vars(self).items() if not name.startswith("_")}))


def table_loop(url: str, seconds: float, limit: int) -> None:
    """Claim and finish in the job table, with the settings of workers."""
    from rnnlab.queue.database import open_database
    from rnnlab.queue.job import Curve, WorkerRecord
    from rnnlab.queue.liveness import new_worker_id
    from rnnlab.queue.store import Store

    engine = open_database(url, create=False)
    store, worker_id, now = Store(engine), new_worker_id(), time.time()
    store.register_worker(WorkerRecord(worker_id, HOST, "", 1, "cpu", "/nowhere", now, now, now + 3600, None))
    curve = Curve([0, 100], {"ema_loss": [2.5, 2.25]})
    report = _Report(seconds)
    while not report.is_over():
        begun = time.perf_counter()
        jobs = store.claim(worker_id, limit)
        if not jobs:
            break
        report.claim_seconds.append(time.perf_counter() - begun)
        report.taken += [job.id for job in jobs]
        for job in jobs:
            store.finish(job.claim, {"min_loss": 2.25}, 1.0, curve)
            report.finished.append(job.id)
    report.print()
    engine.dispose()


def optuna_loop(url: str, seconds: float, limit: int) -> None:
    """Ask and tell in an Optuna study with enqueued trials: ask takes one of them, tell ends it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="queue", storage=url, sampler=optuna.samplers.RandomSampler())
    report = _Report(seconds)
    while not report.is_over():
        begun = time.perf_counter()
        try:
            trial = study.ask()
        except Exception:
            report.errors += 1
            continue
        if trial.number >= limit:  # no trial was waiting: ask has created a new one
            break
        report.claim_seconds.append(time.perf_counter() - begun)
        report.taken.append(trial.number)
        try:
            study.tell(trial, 2.25)
            report.finished.append(trial.number)
        except Exception:
            report.errors += 1
    report.print()


if __name__ == "__main__":
    LOOPS: dict[str, Callable[[str, float, int], None]] = {"table": table_loop, "optuna": optuna_loop}
    LOOPS[sys.argv[1]](sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
