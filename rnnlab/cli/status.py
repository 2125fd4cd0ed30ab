"""`rnnlab status`: how far everything is."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import DEFAULT_RESULTS, DatabaseOption, ResultsOption, open_store, workspace_of

if TYPE_CHECKING:
    from rnnlab.status import ExperimentStatus


def status(
    experiment: Annotated[str | None, typer.Argument(help="Only this experiment.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Show counts, speed, time left and the best result so far. Looking changes nothing."""
    from rnnlab.planning import only_experiment
    from rnnlab.status import experiment_status

    with open_store(db, workspace_of(results), read_only=True) as store:
        names = [only_experiment(store, experiment)] if experiment is not None else store.experiment_names()
        statuses = [experiment_status(store, name) for name in names]
    if as_json:
        json.dump({"experiments": [one.as_json() for one in statuses]}, sys.stdout, indent=2)
        print()
        return
    if not statuses:
        print("no experiment yet: rnnlab init NAME")
    for one in statuses:
        _print(one)


def _print(one: "ExperimentStatus") -> None:
    from rich.console import Console
    from rich.table import Table

    from rnnlab.status import format_seconds

    console = Console()
    table = Table(
        "round", "pending", "running", "done", "failed", "trained", title=one.experiment, title_justify="left"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for part in one.rounds:
        counts = (part.pending, part.running, part.done, part.failed)
        table.add_row(part.name, *(str(count) for count in counts), f"{part.percent:.1f}%")
    console.print(table)
    workers = f"{one.workers_alive} workers alive"
    if one.workers_dead:
        workers += f", {one.workers_dead} dead (the next live worker takes their jobs)"
    print(workers)
    if one.open_jobs:
        speed = "" if one.steps_per_second is None else f" at {one.steps_per_second:,.0f} model-steps/s a worker"
        print(f"time left {format_seconds(one.seconds_left)}{speed}")
    if one.best is not None:
        print(f"best so far: {one.best.metric} {one.best.value:.4f}, job {one.best.job_id} of round {one.best.round}")
