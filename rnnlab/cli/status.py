"""`rnnlab status`: how far everything is."""

import json
import sys
import time
from collections.abc import Callable
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

_WATCH_SECONDS = 2.0
_MOST_FAILURES = 5  # told one by one


def status(
    experiment: Annotated[str | None, typer.Argument(help="Only this experiment.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C.")] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Show counts, speed, time left, failures and the best result so far. Looking changes nothing."""
    from rnnlab.errors import UsageError
    from rnnlab.planning import only_experiment
    from rnnlab.status import experiment_status

    if watch and as_json:
        raise UsageError("--watch is for people, --json for programs: give one of them")
    with open_store(db, workspace_of(results), read_only=True) as store:
        if experiment is not None:
            only_experiment(store, experiment)

        def look() -> "list[ExperimentStatus]":
            names = [experiment] if experiment is not None else store.experiment_names()
            return [experiment_status(store, name) for name in names]

        if watch:
            _watch(look)
        statuses = look()
    if as_json:
        json.dump({"experiments": [one.as_json() for one in statuses]}, sys.stdout, indent=2)
        print()
        return
    flags = repeat_flags(db, results)
    if not statuses:
        print(f"no experiment yet; next: rnnlab init NAME{flags}", file=sys.stderr)
    print("\n\n".join("\n".join(_lines(one)) for one in statuses))
    for one in statuses:
        if hint := _hint(one):
            print(f"{hint}{flags}", file=sys.stderr)


def _watch(look: "Callable[[], list[ExperimentStatus]]") -> None:
    """The same picture, drawn anew, until Ctrl-C. Off a terminal it is printed anew."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def picture() -> Text:
        return Text("\n\n".join("\n".join(_lines(one)) for one in look()))

    console = Console(highlight=False)
    if not console.is_terminal:
        while True:
            print(f"{picture()}\n", flush=True)
            time.sleep(_WATCH_SECONDS)
    with Live(picture(), console=console, auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(_WATCH_SECONDS)
            live.update(picture(), refresh=True)


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
    lines += [f"  FAILED job {failure.job_id}: {failure.reason}" for failure in one.failures[:_MOST_FAILURES]]
    if len(one.failures) > _MOST_FAILURES:
        lines.append(f"  and {counted(len(one.failures) - _MOST_FAILURES, 'failed job')} more")
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
