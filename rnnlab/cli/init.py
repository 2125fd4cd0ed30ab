"""`rnnlab init`: add the jobs of an experiment to the table."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import (
    AllowCodeOption,
    CorpusOption,
    DatabaseOption,
    ResultsOption,
    ScaleOption,
    code_flag,
    counted,
    repeat_flags,
)
from rnnlab.workspace import DEFAULT_RESULTS, workspace_of

if TYPE_CHECKING:
    from rnnlab.plans.plan import Plan

_MEASURING_SECONDS = 60.0  # in a dry run; the default of `rnnlab bench`


def init(
    experiment: Annotated[
        str, typer.Argument(help="A built-in experiment, or the path of an experiment file (.toml).")
    ],
    corpus: CorpusOption = None,
    scale: ScaleOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print jobs, axes, parameters, estimated time and disk; add no jobs.")
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(help="Device for --dry-run: cpu, cuda or cuda:N.", show_default="the first GPU, otherwise cpu"),
    ] = None,
    allow_code: AllowCodeOption = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Add the jobs of an experiment to the job table.

    Existing jobs are not added again: after the grid has grown, only the new jobs are added.
    """
    from rnnlab.actions.init import init_experiment
    from rnnlab.actions.prepare import prepare
    from rnnlab.errors import UsageError

    if device is not None and not dry_run:
        raise UsageError("--device requires --dry-run: the device for training is an option of `rnnlab worker`")
    if dry_run:
        _print_dry_run(prepare(experiment, corpus, scale, allow_code=allow_code), device or "auto")
        print("no jobs were added: run the command without --dry-run to add them", file=sys.stderr)
        return
    outcome = init_experiment(experiment, corpus, scale, db, workspace_of(results), allow_code=allow_code)
    print(f"{outcome.experiment}: added {counted(outcome.added, 'job')}, {outcome.total:,} in the grid")
    if outcome.left_over:
        print(f"{counted(outcome.left_over, 'job')} of an earlier grid remain in the table", file=sys.stderr)
    print(f"next: rnnlab worker{code_flag(outcome.own_cells)}{repeat_flags(db, results)}", file=sys.stderr)


def _print_dry_run(plan: "Plan", device_name: str) -> None:
    from rnnlab.actions.status import format_seconds
    from rnnlab.cost.estimate import estimate
    from rnnlab.devices import find_device
    from rnnlab.spec.toml_format import condition_text, values_to_toml

    experiment = plan.experiment
    device = find_device(device_name)
    steps = sum(config.target_steps for config in plan.first_round)
    where = "on one core" if device.type == "cpu" else f"on {device}"

    def line(topic: str, text: str) -> None:
        print(f"{topic:<12}{text}", flush=True)  # visible while the cost is being measured

    line("experiment", f"{experiment.name}: {experiment.title}" if experiment.title else experiment.name)
    line("corpus", f"{plan.corpus.name} ({plan.corpus.sha256[:12]})")
    for axis, values in experiment.grid.items():
        line("axis", f"{axis}: {values_to_toml(values)}")
    for rule in experiment.skip:
        line("skip", condition_text(rule.when) + (f" ({rule.because})" if rule.because else ""))
    line("jobs", f"{len(plan.first_round):,} in the first round, {steps:,} optimizer steps")
    cost = estimate(plan.first_round, device, plan.vocabulary, _MEASURING_SECONDS)
    parameters = {f"{cost.smallest_parameters:,}", f"{cost.largest_parameters:,}"}
    line("parameters", " to ".join(sorted(parameters, key=lambda text: (len(text), text))))
    part = "each group" if cost.measured == cost.groups else f"{cost.measured:,} of {cost.groups:,} groups"
    line("time", f"{format_seconds(cost.seconds)} {where}, measured on a few steps of {part} of jobs")
    line("disk", f"{cost.disk_bytes / 1e6:,.1f} MB for final checkpoints")
    for next_round in experiment.rounds:
        variants = f", {len(next_round.vary)} variants of each" if len(next_round.vary) > 1 else ""
        repeats = f", {counted(next_round.seeds, 'seed')} each" if next_round.seeds else ""
        line("then", f"{next_round.name}: {next_round.select.describe()}{variants}{repeats}")
