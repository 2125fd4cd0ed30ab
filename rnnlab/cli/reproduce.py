"""`rnnlab reproduce`: repeat published runs and compare the results."""

import sys
from typing import Annotated

import typer

from rnnlab.cli.device_option import check_device
from rnnlab.cli.options import (
    AllowCodeOption,
    CorpusOption,
    DatabaseOption,
    DeviceOption,
    ResultsOption,
    code_flag,
    counted,
    repeat_flags,
)
from rnnlab.cli.run import wait_for_jobs
from rnnlab.cli.stop_signals import INTERRUPTED, two_stage_stop
from rnnlab.cli.worker import WorkerChoices
from rnnlab.cli.worker_pool import WorkerPool
from rnnlab.queue.retry_policy import RetryPolicy
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of


def reproduce(
    experiment: Annotated[
        str, typer.Argument(help="A built-in experiment with published runs, or the path of an experiment file.")
    ],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Train only runs whose names contain this text. Repeatable.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Number of seeds per run.", show_default="as in the file")
    ] = None,
    corpus: CorpusOption = None,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Number of worker processes.")] = 1,
    device: DeviceOption = "auto",
    allow_code: AllowCodeOption = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Train the published runs of a study and compare the results with the published ones.

    Run the command again to continue after an interruption.
    """
    from rnnlab.actions.prepare import prepare
    from rnnlab.actions.reproduce import enqueue_published, open_published, write_reproduction

    plan = prepare(experiment, corpus, None, allow_code=allow_code)
    check_device(device)
    name = plan.experiment.name
    workspace = workspace_of(results)
    with open_store(db, workspace, create=True) as store:
        outcome = enqueue_published(store, plan, seeds=seeds, only=only or [])
        _say(f"{name}: {counted(outcome.wanted, 'job')} in round reproduction, {outcome.added:,} of them new")
        code = 0
        if open_published(store, name):
            choices = WorkerChoices(name, device, None, None, True, 60.0, True, db, results, allow_code=allow_code)
            pool = WorkerPool(processes, choices.flags(), choices.environment(), _say)
            try:
                with two_stage_stop(pool.forward, pool.forward) as stopped:
                    wait_for_jobs(store, name, pool, stopped.is_set, lambda: open_published(store, name))
                    if stopped.is_set():
                        pool.wait()
                        flags = code_flag(allow_code) + repeat_flags(db, results)
                        _say(f"to continue: run the same command again, or rnnlab worker {name}{flags}")
                        raise typer.Exit(INTERRUPTED)
                    if pool.all_ended:
                        _say("all workers exited before all jobs were done: see the messages above")
                        code = 1
            finally:
                pool.stop()
        print(RetryPolicy.for_command(_say)(lambda: write_reproduction(store, workspace, name)))
    raise typer.Exit(code)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
