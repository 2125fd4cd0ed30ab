"""`rnnlab status`: show the progress of experiments."""

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Never

import typer

from rnnlab.cli.options import DatabaseOption, ResultsOption, counted, repeat_flags
from rnnlab.cli.status_text import best_so_far, hint, time_left
from rnnlab.queue.retry_policy import RetryPolicy
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of

if TYPE_CHECKING:
    from rnnlab.actions.status import ExperimentStatus
    from rnnlab.queue.store import Store

_WATCH_SECONDS = 2.0
_MAX_FAILURES = 5  # printed individually


def status(
    experiment: Annotated[str | None, typer.Argument(help="Show only this experiment.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show a continuously updated view until Ctrl-C.")] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Show job counts, speed, time left, failures and the best result so far. Read only."""
    from rnnlab.actions.status import worker_statuses
    from rnnlab.errors import UsageError
    from rnnlab.plans.plan import only_experiment

    if watch and as_json:
        raise UsageError("--watch and --json cannot be combined: give one of them")
    flags = repeat_flags(db, results)
    with open_store(db, workspace_of(results), read_only=True) as store:
        if experiment is not None:
            only_experiment(store, experiment)
        if watch:
            _watch(store, experiment, flags)
        statuses = _read_statuses(store, experiment)
        workers = worker_statuses(store) if as_json else []
    if as_json:
        document = {"experiments": [one.as_json() for one in statuses], "workers": [asdict(one) for one in workers]}
        json.dump(document, sys.stdout, indent=2)
        print()
        return
    if not statuses:
        print(f"no experiments; next: rnnlab init NAME{flags}", file=sys.stderr)
    print("\n\n".join("\n".join(_lines(one)) for one in statuses))
    for one in statuses:
        if advice := hint(one):
            print(f"{advice}{flags}", file=sys.stderr)


def _read_statuses(store: "Store", experiment: str | None) -> "list[ExperimentStatus]":
    from rnnlab.actions.status import experiment_status

    names = [experiment] if experiment is not None else store.experiment_names()
    return [experiment_status(store, name) for name in names]


def _watch(store: "Store", experiment: str | None, flags: str) -> Never:
    """Update a full-screen view until Ctrl-C. If stdout is not a terminal, print the plain text repeatedly."""
    from rich.console import Console
    from rich.live import Live

    retry = RetryPolicy.for_command(lambda text: print(text, file=sys.stderr, flush=True))
    console = Console(highlight=False)
    draws = console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
    if not draws:
        while True:
            found = retry(lambda: _read_statuses(store, experiment))
            print("\n\n".join("\n".join(_lines(one)) for one in found) + "\n", flush=True)
            time.sleep(_WATCH_SECONDS)

    from rnnlab.actions.watch import Watch
    from rnnlab.cli.dashboard import dashboard

    watch = Watch(store)
    # On the alternate screen of the terminal, each view replaces the last, and the old contents return at the end.
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            started = time.monotonic()
            snapshot = retry(lambda: watch.look(experiment))
            live.update(dashboard(snapshot, console.width, console.height, flags), refresh=True)
            # Reading a large table takes a while. Wait four times as long, to leave the database to the workers.
            time.sleep(max(_WATCH_SECONDS, 4 * (time.monotonic() - started)))


def _lines(one: "ExperimentStatus") -> list[str]:
    set_aside = any(part.paused or part.cancelled for part in one.rounds)  # rare: omit columns of zeros
    extra = ("paused", "cancelled") if set_aside else ()
    rows = [("round", "pending", "running", "done", "failed", *extra, "trained")]
    for part in one.rounds:
        counts = [part.pending, part.running, part.done, part.failed]
        counts += [part.paused, part.cancelled] if set_aside else []
        rows.append((part.name, *(f"{count:,}" for count in counts), f"{part.percent:.1f}%"))
    first, *others = (max(len(row[column]) for row in rows) for column in range(len(rows[0])))
    lines = [one.experiment]
    lines += [f"  FAILED job {failure.job_id}: {failure.reason}" for failure in one.failures[:_MAX_FAILURES]]
    if len(one.failures) > _MAX_FAILURES:
        lines.append(f"  and {counted(len(one.failures) - _MAX_FAILURES, 'more failed job')}")
    for name, *cells in rows:
        aligned = (f"{cell:>{width}}" for cell, width in zip(cells, others, strict=True))
        lines.append("  ".join([f"  {name:<{first}}", *aligned]))
    if one.open_jobs or one.workers_alive or one.workers_dead:
        dead = f", {one.workers_dead} dead (the next live worker takes their jobs)" if one.workers_dead else ""
        lines.append(f"  {counted(one.workers_alive, 'worker')} alive{dead}")
    lines += [f"  {line}" for line in (time_left(one), best_so_far(one)) if line]
    return lines
