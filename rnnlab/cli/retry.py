"""`rnnlab retry`: run failed and cancelled jobs again."""

from typing import Annotated

import typer

from rnnlab.cli.job_options import ManyJobsArgument, RoundOption, change_jobs, print_outcomes
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of


def retry(
    jobs: ManyJobsArgument = None,
    failed: Annotated[bool, typer.Option("--failed", help="Select all failed jobs.")] = False,
    experiment: Annotated[str | None, typer.Option("--experiment", help="Select only jobs of this experiment.")] = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Run failed and cancelled jobs again, from their last checkpoints."""
    from rnnlab.actions.choose_job import JobSelection
    from rnnlab.errors import UsageError
    from rnnlab.plans.plan import only_experiment

    if not failed:
        selection = JobSelection(tuple(jobs or ()), experiment, round_name)
        change_jobs(selection, lambda store, ids: store.retry(ids), db, results)
        return
    if jobs or round_name is not None:
        raise UsageError("--failed selects all failed jobs: do not combine it with JOB or --round")
    with open_store(db, workspace_of(results)) as store:
        if experiment is not None:
            only_experiment(store, experiment)
        print_outcomes(store.retry(experiment=experiment))
