"""`rnnlab extend`: train finished jobs for more steps."""

import sys
from typing import Annotated

import typer

from rnnlab.cli.job_options import ExperimentOption, JobsArgument
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of


def extend(
    jobs: JobsArgument,
    windows: Annotated[int | None, typer.Option(min=1, help="New length in windows (online regime).")] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="New length in optimizer steps (jobs with a length in iterations).")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="New length in epochs (jobs with a length in epochs).")
    ] = None,
    experiment: ExperimentOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Train finished jobs longer: new jobs in the round `extended` continue from their final checkpoints.

    The new length is the total, and must exceed the current length of the jobs.
    """
    from rnnlab.actions.choose_job import chosen_job
    from rnnlab.actions.extend import extend as extend_jobs
    from rnnlab.errors import UsageError

    lengths = {"windows": windows, "iterations": iterations, "epochs": epochs}
    given = [(length, unit) for unit, length in lengths.items() if length is not None]
    if len(given) != 1:
        raise UsageError("give one of --windows, --iterations and --epochs: the new total length of the jobs")
    workspace = workspace_of(results)
    with open_store(db, workspace) as store:
        outcome = extend_jobs(store, workspace, [chosen_job(store, name, experiment) for name in jobs], *given[0])
    print(f"added {outcome.added} jobs to round extended; {outcome.known} already existed")
    print("next: rnnlab worker", file=sys.stderr)
