"""`rnnlab status`: how far everything is."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import (
    DEFAULT_RESULTS,
    DatabaseOption,
    ResultsOption,
    counted,
    open_store,
    repeat_flags,
    workspace_of,
)

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
    flags = repeat_flags(db, results)
    if not statuses:
        print(f"no experiment yet; next: rnnlab init NAME{flags}", file=sys.stderr)
    for number, one in enumerate(statuses):
        if number:
            print()
        for line in _lines(one):
            print(line)
    for one in statuses:
        if hint := _hint(one):
            print(f"{hint}{flags}", file=sys.stderr)


def _lines(one: "ExperimentStatus") -> list[str]:
    from rnnlab.status import format_seconds

    set_aside = any(part.paused or part.cancelled for part in one.rounds)  # rare: no columns of zeros
    extra = ("paused", "cancelled") if set_aside else ()
    rows = [("round", "pending", "running", "done", "failed", *extra, "trained")]
    for part in one.rounds:
        counts = [part.pending, part.running, part.done, part.failed]
        counts += [part.paused, part.cancelled] if set_aside else []
        rows.append((part.name, *(f"{count:,}" for count in counts), f"{part.percent:.1f}%"))
    first, *others = (max(len(row[column]) for row in rows) for column in range(len(rows[0])))
    lines = [one.experiment]
    for name, *cells in rows:
        aligned = (f"{cell:>{width}}" for cell, width in zip(cells, others, strict=True))
        lines.append("  ".join([f"  {name:<{first}}", *aligned]))
    workers = counted(one.workers_alive, "worker")
    if one.open_jobs or one.workers_alive or one.workers_dead:
        dead = f", {one.workers_dead} dead (the next live one takes their jobs)" if one.workers_dead else ""
        lines.append(f"  {workers} alive{dead}")
    if one.open_jobs and one.steps_per_second is None:
        lines.append("  time left unknown: nothing was trained here yet")
    elif one.open_jobs:
        with_workers = counted(max(1, one.workers_alive), "worker")
        speed = f"{one.steps_per_second:,.0f} model-steps/s each"
        lines.append(f"  time left {format_seconds(one.seconds_left)} with {with_workers}, {speed}")
    if one.best is not None:
        best = one.best
        lines.append(f"  best so far {best.metric} {best.value:.4f}: job {best.job_id} of round {best.round}")
    return lines


def _hint(one: "ExperimentStatus") -> str:
    """What to do next, where nothing goes on by itself; the flags of this command fit behind it."""
    failed = sum(part.failed for part in one.rounds)
    if one.open_jobs:
        return "" if one.workers_alive else f"next: rnnlab worker {one.experiment}"
    if failed:
        return f"{counted(failed, 'job')} failed; to let them run again: rnnlab retry --failed"
    return f"next: rnnlab analyze {one.experiment}" if one.rounds_to_come else ""
