"""`rnnlab extend`: more steps for finished jobs."""

import sys
from typing import Annotated

import typer

from rnnlab.cli.job_options import ExperimentOption, JobsArgument
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of


def extend(
    jobs: JobsArgument,
    windows: Annotated[
        int | None, typer.Option(min=1, help="Windows in total, more than the jobs have had (online regime).")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps in total (jobs whose length is in iterations).")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs in total (jobs whose length is in epochs).")] = None,
    experiment: ExperimentOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Train finished jobs longer: new jobs in the round `extended` continue from the final checkpoints."""
    from rnnlab.actions.choose_job import chosen_job
    from rnnlab.actions.extend import extend as extend_jobs
    from rnnlab.errors import UsageError

    lengths = {"windows": windows, "iterations": iterations, "epochs": epochs}
    given = [(length, unit) for unit, length in lengths.items() if length is not None]
    if len(given) != 1:
        raise UsageError("give one of --windows, --iterations and --epochs: the length of the jobs in total")
    workspace = workspace_of(results)
    with open_store(db, workspace) as store:
        outcome = extend_jobs(store, workspace, [chosen_job(store, name, experiment) for name in jobs], *given[0])
    print(f"added {outcome.added} jobs to round extended; {outcome.known} were already there")
    print("next: rnnlab worker", file=sys.stderr)
