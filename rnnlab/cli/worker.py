"""`rnnlab worker`: claim jobs and train them."""

import os
import shlex
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rnnlab.cli.device_option import check_device
from rnnlab.cli.options import AllowCodeOption, DatabaseOption, DeviceOption, ResultsOption, shown_database
from rnnlab.cli.stop_signals import INTERRUPTED, two_stage_stop
from rnnlab.cli.worker_pool import WorkerPool
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of

_CHECKPOINT_SECONDS = 60.0
_LEASE_SECONDS = 60.0
_HEARTBEAT_SECONDS = 10.0


def worker(
    experiment: Annotated[str | None, typer.Argument(help="Train only jobs of this experiment.")] = None,
    device: DeviceOption = "auto",
    cohort: Annotated[
        int | None, typer.Option(min=1, help="Number of jobs to train at once.", show_default="depends on the device")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Number of worker processes.")] = 1,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Exit after this number of jobs.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Wait for new jobs when all are done.")] = False,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="Seconds between checkpoints of a job.")
    ] = _CHECKPOINT_SECONDS,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not print progress, only unusual events.")] = False,
    pooled: Annotated[bool, typer.Option("--pooled", hidden=True, help="Stop gracefully at the end of stdin.")] = False,
    lease_seconds: Annotated[
        float,
        typer.Option("--lease-seconds", min=0, hidden=True, help="Duration of a lease, for workers on other hosts."),
    ] = _LEASE_SECONDS,
    heartbeat_seconds: Annotated[
        float, typer.Option("--heartbeat-seconds", min=0, hidden=True, help="Seconds between renewals of the lease.")
    ] = _HEARTBEAT_SECONDS,
    allow_code: AllowCodeOption = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Train jobs until none is left. Any number of workers can run at the same time.

    Ctrl-C writes checkpoints and releases the jobs; a second Ctrl-C aborts immediately. No finished work is lost.
    """
    choices = WorkerChoices(
        experiment,
        device,
        cohort,
        max_jobs,
        watch,
        checkpoint_seconds,
        quiet,
        db,
        results,
        lease_seconds,
        heartbeat_seconds,
        allow_code,
    )
    code = _run_worker(choices, stop_with_stdin=pooled) if processes == 1 else _run_pool(processes, choices)
    if code == INTERRUPTED and not pooled:  # for a pool, the parent prints it
        print(f"to continue: {choices.command(processes)}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


@dataclass(frozen=True)
class WorkerChoices:
    """The options of one worker process."""

    experiment: str | None
    device: str
    cohort: int | None
    max_jobs: int | None
    watch: bool
    checkpoint_seconds: float
    quiet: bool
    db: str | None
    results: Path
    lease_seconds: float = _LEASE_SECONDS
    heartbeat_seconds: float = _HEARTBEAT_SECONDS
    allow_code: bool = False

    def flags(self) -> list[str]:
        """The options as a command line of a worker process, without defaults.

        The database is not included: other users can see command lines, and its URL may contain a password.
        """
        flags = [self.experiment] if self.experiment else []
        flags += ["--device", self.device] if self.device != "auto" else []
        flags += ["--cohort", str(self.cohort)] if self.cohort else []
        flags += ["--max-jobs", str(self.max_jobs)] if self.max_jobs else []
        flags += ["--watch"] if self.watch else []
        if self.checkpoint_seconds != _CHECKPOINT_SECONDS:
            flags += ["--checkpoint-seconds", str(self.checkpoint_seconds)]
        if self.lease_seconds != _LEASE_SECONDS:
            flags += ["--lease-seconds", str(self.lease_seconds)]
        if self.heartbeat_seconds != _HEARTBEAT_SECONDS:
            flags += ["--heartbeat-seconds", str(self.heartbeat_seconds)]
        flags += ["--quiet"] if self.quiet else []
        flags += ["--allow-code"] if self.allow_code else []
        if str(self.results) != os.environ.get("RNNLAB_RESULTS", str(DEFAULT_RESULTS)):
            flags += ["--results", str(self.results)]
        return flags

    def command(self, processes: int) -> str:
        """The shell command that starts the same number of workers with the same options."""
        flags = ["--processes", str(processes)] if processes > 1 else []
        if self.db and self.db != os.environ.get("RNNLAB_DB"):
            flags += ["--db", shown_database(self.db)]
        return shlex.join(["rnnlab", "worker", *self.flags(), *flags])

    def environment(self) -> dict[str, str]:
        """Environment variables that a worker process needs in addition to its command line."""
        return {"RNNLAB_DB": self.db} if self.db else {}


def _run_worker(choices: WorkerChoices, *, stop_with_stdin: bool) -> int:
    from rnnlab.cli.progress_view import ConsoleView
    from rnnlab.devices import find_device
    from rnnlab.plans.plan import only_experiment
    from rnnlab.worker import Worker, WorkerOptions

    check_device(choices.device)
    options = WorkerOptions(
        find_device(choices.device),
        choices.experiment,
        choices.cohort,
        choices.max_jobs,
        choices.watch,
        choices.checkpoint_seconds,
        choices.heartbeat_seconds,
        choices.allow_code,
    )
    workspace = workspace_of(choices.results)
    view = ConsoleView(quiet=choices.quiet)
    with open_store(choices.db, workspace, lease_seconds=choices.lease_seconds) as store:
        if choices.experiment is not None:
            only_experiment(store, choices.experiment)
        one = Worker(store, workspace, options, view)

        def stop(_signum: int) -> None:
            one.stop_requested.set()
            view.message("stopping: finishing the block, then writing checkpoints (repeat to abort immediately)")

        if stop_with_stdin:
            threading.Thread(target=_wait_for_end_of_stdin, args=(one.stop_requested.set,), daemon=True).start()
        # Abort without cleanup: the kernel releases the worker's lock, and other workers take its jobs.
        with two_stage_stop(stop, lambda signum: os._exit(INTERRUPTED)) as stopped:
            try:
                one.run()
            finally:
                view.close()
    return INTERRUPTED if stopped.is_set() else 1 if one.failed else 0


def _wait_for_end_of_stdin(then: Callable[[], None]) -> None:
    # Do not use sys.stdin: its lock would be held when Python exits.
    while os.read(0, 1):
        pass
    then()


def _run_pool(processes: int, choices: WorkerChoices) -> int:
    pool = WorkerPool(
        processes, choices.flags(), choices.environment(), lambda line: print(line, file=sys.stderr, flush=True)
    )
    try:
        with two_stage_stop(pool.forward, pool.forward) as stopped:
            while not pool.all_ended:
                time.sleep(0.1)
    finally:
        pool.stop()
    return INTERRUPTED if stopped.is_set() else max(1 if code < 0 else code for code in pool.poll())
