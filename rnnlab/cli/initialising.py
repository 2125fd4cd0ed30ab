"""`rnnlab init`: from an experiment file to jobs in the table."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import (
    DEFAULT_RESULTS,
    CorpusOption,
    DatabaseOption,
    DeviceOption,
    ResultsOption,
    ScaleOption,
    open_store,
    repeat_flags,
    workspace_of,
)

if TYPE_CHECKING:
    from rnnlab.planning import Plan


def init(
    experiment: Annotated[
        str, typer.Argument(help="A built-in experiment, or the path of an experiment file (.toml).")
    ],
    corpus: CorpusOption = None,
    scale: ScaleOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print jobs, axes, parameters, estimated time and disk; write no job.")
    ] = False,
    device: DeviceOption = "auto",
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Enumerate an experiment into the job table.

    Doing it again adds nothing; after the grid has grown it adds what is new.
    """
    from rnnlab.planning import initialise, make_plan
    from rnnlab.spec.library import find_experiment

    plan = make_plan(find_experiment(experiment, scale), corpus)
    if dry_run:
        _print_dry_run(plan, device)
        return
    with open_store(db, workspace_of(results), create=True) as store:
        outcome = initialise(store, plan)
    name = plan.experiment.name
    print(f"{name}: added {outcome.added} jobs, {outcome.total} in the grid")
    if outcome.left_over:
        print(f"{outcome.left_over} jobs of an earlier grid stay in the table", file=sys.stderr)
    print(f"next: rnnlab worker{repeat_flags(db, results)}", file=sys.stderr)


def _print_dry_run(plan: "Plan", device_name: str) -> None:
    from rnnlab.estimate import estimate
    from rnnlab.status import format_seconds
    from rnnlab.training.sizing import find_device

    experiment = plan.experiment
    configs = plan.first_round()
    cost = estimate(configs, find_device(device_name))
    steps = sum(config.target_steps for config in configs)
    print(f"{experiment.name}: {experiment.title}".rstrip(": "))
    print(f"corpus      {plan.corpus.name} ({plan.corpus.sha256[:12]})")
    print(f"jobs        {len(configs)} in the first round, {steps:,} optimiser steps")
    for axis, values in experiment.grid.items():
        print(f"axis        {axis}: {', '.join(str(value) for value in values)}")
    for rule in experiment.skip:
        condition = ", ".join(f"{name} = {value}" for name, value in rule.when.items())
        print(f"skip        {condition}" + (f" ({rule.because})" if rule.because else ""))
    print(f"parameters  {cost.smallest_parameters:,} to {cost.largest_parameters:,}")
    print(f"time        {format_seconds(cost.seconds)} with one worker here, measured on a few steps of each group")
    print(f"disk        {cost.disk_bytes / 1e6:,.1f} MB of final checkpoints")
    for next_round in experiment.rounds:
        select = next_round.select
        chosen = f"best {select.best_fraction:.0%}" if select.best_fraction else f"best {select.top}"
        repeats = f", {next_round.seeds} seeds each" if next_round.seeds else ""
        print(f"then        {next_round.name}: {chosen} by {select.by}, {len(next_round.vary)} variants{repeats}")
