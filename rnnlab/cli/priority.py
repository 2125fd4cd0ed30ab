"""`rnnlab priority`: set the order in which workers claim jobs."""

from typing import Annotated

import typer

from rnnlab.cli.job_options import ExperimentOption, ManyJobsArgument, RoundOption, change_jobs
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS


def priority(
    value: Annotated[int, typer.Argument(help="New priority, -1000 to 1000. New jobs have 0.", min=-1000, max=1000)],
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Set the priority of jobs: workers claim jobs with higher values first."""
    from rnnlab.actions.choose_job import JobSelection

    selection = JobSelection(tuple(jobs or ()), experiment, round_name)
    change_jobs(selection, lambda store, ids: store.set_priority(ids, value), db, results)
