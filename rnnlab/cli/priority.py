"""`rnnlab priority`: which jobs are claimed first."""

from typing import Annotated

import typer

from rnnlab.cli.job_options import ExperimentOption, ManyJobsArgument, RoundOption, change_jobs
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS


def priority(
    value: Annotated[
        int, typer.Argument(help="Workers claim higher values first; new jobs have 0.", min=-1000, max=1000)
    ],
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Set which jobs workers claim first."""
    from rnnlab.actions.choose_job import JobSelection

    selection = JobSelection(tuple(jobs or ()), experiment, round_name)
    change_jobs(selection, lambda store, ids: store.set_priority(ids, value), db, results)
