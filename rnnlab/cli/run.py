"""`rnnlab run`: run all rounds of an experiment."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.device_option import check_device
from rnnlab.cli.options import (
    AllowCodeOption,
    CorpusOption,
    DatabaseOption,
    DeviceOption,
    PlotsOption,
    ResultsOption,
    ScaleOption,
    code_flag,
    counted,
    repeat_flags,
    shown_path,
)
from rnnlab.cli.round_text import next_round_text, next_step
from rnnlab.cli.stop_signals import INTERRUPTED, two_stage_stop
from rnnlab.cli.worker import WorkerChoices
from rnnlab.cli.worker_pool import WorkerPool
from rnnlab.errors import DatabaseAwayError
from rnnlab.queue.retry_policy import RetryPolicy
from rnnlab.workspace import DEFAULT_PLOTS, DEFAULT_RESULTS, open_store, workspace_of, writable

if TYPE_CHECKING:
    from rnnlab.files import Workspace
    from rnnlab.plans.rounds import Progression
    from rnnlab.queue.store import Store

_POLL_SECONDS = 0.2
_LINE_SECONDS = 10.0


def run(
    experiment: Annotated[
        str, typer.Argument(help="A built-in experiment, or the path of an experiment file (.toml).")
    ],
    corpus: CorpusOption = None,
    scale: ScaleOption = None,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Number of worker processes.")] = 1,
    device: DeviceOption = "auto",
    cohort: Annotated[
        int | None, typer.Option(min=1, help="Number of jobs to train at once.", show_default="depends on the device")
    ] = None,
    allow_code: AllowCodeOption = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    plots: PlotsOption = DEFAULT_PLOTS,
) -> None:
    """Run an experiment to its end: add jobs, train and analyze them, round by round.

    Run the command again to continue after an interruption.
    """
    from rnnlab.actions.prepare import prepare
    from rnnlab.plans.enqueue import initialize

    plan = prepare(experiment, corpus, scale, allow_code=allow_code)
    check_device(device)  # report a wrong name here, not in every worker
    name = plan.experiment.name
    workspace = workspace_of(results, plots)
    with writable((workspace.plot_dir(name), "plots folder")), open_store(db, workspace, create=True) as store:
        outcome = initialize(store, plan)
        _say(f"{name}: {counted(outcome.total, 'job')} in round explore, {outcome.added:,} of them new")
        choices = WorkerChoices(name, device, cohort, None, True, 60.0, True, db, results, allow_code=allow_code)
        code = _all_rounds(store, workspace, name, processes, choices)
    raise typer.Exit(code)


def _all_rounds(store: "Store", workspace: "Workspace", name: str, processes: int, choices: WorkerChoices) -> int:
    flags = repeat_flags(choices.db, choices.results)
    pool = WorkerPool(processes, choices.flags(), choices.environment(), _say)
    try:
        with two_stage_stop(pool.forward, pool.forward) as stopped:
            while True:
                wait_for_jobs(store, name, pool, stopped.is_set, lambda: store.any_open(name))
                if stopped.is_set():
                    pool.wait()
                    code = code_flag(choices.allow_code)
                    _say(f"to continue: run the same command again, or rnnlab worker {name}{code}{flags}")
                    return INTERRUPTED
                if pool.all_ended:
                    _say("all workers exited before all jobs were done: see the messages above")
                    return 1
                with suppress(DatabaseAwayError):  # the workers have been stopped or have exited: handled above
                    progression = _advance(store, name, flags, lambda: stopped.is_set() or pool.all_ended)
                    if progression is not None:
                        break
    finally:
        pool.stop()
    return _conclude(store, workspace, name, 0 if progression.rounds[-1].complete else 1)


def _advance(store: "Store", name: str, flags: str, over: Callable[[], bool]) -> "Progression | None":
    """Add the jobs of the next round. Returns None if there are open jobs, otherwise the state of the rounds."""
    from rnnlab.actions.next_round import next_round
    from rnnlab.plans.rounds import advance

    retry = RetryPolicy.for_command(_say, over)
    progression = retry(lambda: advance(store, name, enqueue=False))
    if (coming := retry(lambda: next_round(store, name, progression))) is not None:
        _say(next_round_text(coming))
        progression = retry(lambda: advance(store, name, enqueue=True))
    _say(next_step(progression, flags, working=True))
    # If the database fails after adding jobs but before confirming it, the jobs exist although n_added is 0.
    more = progression.n_added or retry(lambda: store.any_open(name))
    return None if more else progression


def wait_for_jobs(
    store: "Store", name: str, pool: WorkerPool, stopped: Callable[[], bool], open_jobs: Callable[[], object]
) -> None:
    """Wait until no jobs are open, a stop is requested or all workers have exited. Prints the progress regularly."""
    from rnnlab.actions.status import experiment_status, summary_line

    def over() -> bool:
        return stopped() or pool.all_ended

    retry = RetryPolicy.for_command(_say, over)
    printed_at = time.monotonic()
    with suppress(DatabaseAwayError):  # raised only when there is nothing left to wait for
        while not over() and retry(open_jobs):
            time.sleep(_POLL_SECONDS)
            if time.monotonic() - printed_at > _LINE_SECONDS:
                printed_at = time.monotonic()
                _say(summary_line(retry(lambda: experiment_status(store, name))))


def _conclude(store: "Store", workspace: "Workspace", name: str, code: int) -> int:
    """Draw plots, write the report, and print their paths and key findings."""
    from rnnlab.actions.analyze import write_reports

    _say("drawing plots")
    reports = RetryPolicy.for_command(_say)(lambda: write_reports(store, workspace, name))
    for report in reports.values():
        for path in report.pictures:
            print(shown_path(path))
    for round_name, report in reports.items():
        print(f"{round_name}: {report.sentence}")
    if reports:
        print(f"report: {shown_path(next(iter(reports.values())).page)}")
    return code


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
