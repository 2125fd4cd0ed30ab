"""Options that select jobs, and code shared by the commands that change jobs."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import counted, repeat_flags
from rnnlab.workspace import open_store, workspace_of

if TYPE_CHECKING:
    from rnnlab.actions.choose_job import JobSelection
    from rnnlab.queue.store import Store

JobArgument = Annotated[
    str | None,
    typer.Argument(help="A job's number or the first digits of its hash.", show_default="the best job"),
]
JobsArgument = Annotated[
    list[str], typer.Argument(metavar="JOB...", help="Numbers of jobs, or the first digits of their hashes.")
]
ManyJobsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[JOB...]", help="Jobs, by number or hash. Without JOB: all jobs of --experiment."),
]
RoundOption = Annotated[str | None, typer.Option("--round", help="Without JOB: only the jobs of this round.")]
ExperimentOption = Annotated[str | None, typer.Option("--experiment", help="Search for the jobs in this experiment.")]


def change_jobs(
    selection: "JobSelection",
    change: "Callable[[Store, list[int]], Mapping[int, str]]",
    db: str | None,
    results: Path,
    *,
    undo: str | None = None,
) -> None:
    """Change the selected jobs, and print a line for each named job, or the number of changed jobs of an experiment.

    undo: command that reverts the change of a whole experiment.
    """
    with open_store(db, workspace_of(results)) as store:
        outcomes = change(store, selection.ids(store))
    if selection.names:
        print_outcomes(outcomes)
        return
    for outcome, number in Counter(outcomes.values()).items():
        print(f"{counted(number, 'job')}: {outcome}")
    if undo is not None:
        which = f" --round {selection.round_name}" if selection.round_name else ""
        flags = repeat_flags(db, results)
        print(f"to undo this: rnnlab {undo} --experiment {selection.experiment}{which}{flags}", file=sys.stderr)


def print_outcomes(outcomes: Mapping[int, str]) -> None:
    """Print a line for each job."""
    for job_id, outcome in outcomes.items():
        print(f"job {job_id}: {outcome}")
    if not outcomes:
        print("no matching jobs")
