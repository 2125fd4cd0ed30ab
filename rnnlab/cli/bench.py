"""`rnnlab bench`: the speed of this machine, and the time that an experiment needs on it."""

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rnnlab.cli.device_option import check_device
from rnnlab.cli.options import AllowCodeOption, CorpusOption, DeviceOption, ScaleOption, counted, print_warning
from rnnlab.errors import UsageError

if TYPE_CHECKING:
    from rnnlab.cost.forecast import RoundForecast
    from rnnlab.cost.reference_cases import CaseSpeed


def bench_command(
    experiment: Annotated[
        str | None,
        typer.Argument(help="A built-in experiment, or the path of an experiment file (.toml).", show_default=False),
    ] = None,
    corpus: CorpusOption = None,
    scale: ScaleOption = None,
    device: DeviceOption = "auto",
    processes: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="Number of worker processes.", show_default="the number of cores on a CPU, 1 on a GPU"
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="Approximate seconds to measure; groups not measured are estimated.")
    ] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    allow_code: AllowCodeOption = False,
) -> None:
    """Measure the speed of this machine and estimate the time of an experiment.

    Without EXPERIMENT, measure three reference cases. The best cohort sizes are also measured, and stored for workers.
    """
    from rnnlab.actions.bench import bench_experiment, bench_machine

    check_device(device)
    if experiment is None:
        for option, value in (("--corpus", corpus), ("--scale", scale), ("--processes", processes)):
            if value is not None:
                raise UsageError(f"{option} {value} requires an experiment: name one")
        machine = bench_machine(device, seconds, print_warning)
        if as_json:
            print(json.dumps({"device": machine.device, "cases": [speed.as_json() for speed in machine.speeds]}))
        else:
            _print_speeds(machine.speeds)
        return
    found = bench_experiment(
        experiment, corpus, scale, device, processes, seconds, print_warning, allow_code=allow_code
    )
    if as_json:
        print(json.dumps(_document(found.rounds, found.device, found.processes)))
    else:
        _print_forecast(found.rounds, found.processes)


def _print_speeds(speeds: "Sequence[CaseSpeed]") -> None:
    rows = [["model-steps/s by one process", "alone", "models at once", "together", "ratio"]]
    rows += [
        [one.case, f"{one.alone:,.0f}", f"{one.models}", f"{one.cohort:,.0f}", f"{one.ratio:.1f}"] for one in speeds
    ]
    _print_table(rows, left=1)


def _document(rounds: "Sequence[RoundForecast]", device: str, processes: int) -> dict[str, Any]:
    return {
        "device": device,
        "processes": processes,
        "groups": [
            {
                "round": group.round,
                "settings": group.settings,
                "jobs": group.jobs,
                "models": group.rate.models,
                "model_steps_per_second": group.rate.model_steps_per_second,
                "measured": group.rate.measured,
                "seconds": group.seconds,
            }
            for one in rounds
            for group in one.groups
        ],
        "rounds": [{"name": one.name, "jobs": one.jobs, "seconds": one.seconds} for one in rounds],
        "seconds_with_one_process": sum(one.seconds for one in rounds),
        "seconds": sum(one.seconds for one in rounds) / processes,
    }


def _print_forecast(rounds: "Sequence[RoundForecast]", processes: int) -> None:
    from rnnlab.spec.cell_settings import short_name
    from rnnlab.spec.toml_format import to_toml

    names = list(dict.fromkeys(name for one in rounds for group in one.groups for name in group.settings))
    rows = [["round", *names, "jobs", "at once", "model-steps/s", "time"]]
    for one in rounds:
        for group in one.groups:
            settings = {name: to_toml(value) for name, value in group.settings.items()}
            settings["cell"] = short_name(group.settings["cell"])
            rate = f"{'' if group.rate.measured else '~'}{group.rate.model_steps_per_second:,.0f}"
            numbers = [f"{group.jobs:,}", f"{group.rate.models}", rate, _clock(group.seconds)]
            rows.append([one.name, *(settings.get(name, "-") for name in names), *numbers])
    _print_table(rows, left=2)
    print()
    totals = [(one.name, one.jobs, one.seconds) for one in rounds]
    if len(rounds) > 1:
        totals.append(("all rounds", sum(one.jobs for one in rounds), sum(one.seconds for one in rounds)))
    counts = sorted({1, processes})
    total_rows = [["training", "jobs", *(counted(count, "process", "processes") for count in counts)]]
    for name, jobs, total in totals:
        total_rows.append([name, f"{jobs:,}", *(_clock(total / count) for count in counts)])
    _print_table(total_rows, left=1)
    estimated = sum(not group.rate.measured for one in rounds for group in one.groups)
    if estimated:
        print(
            f"~: {counted(estimated, 'row')} estimated from the most similar measured group; a larger "
            "--seconds measures more groups",
            file=sys.stderr,
        )
    if len(rounds) > 1:
        print("later rounds are estimated for the largest models: the selected runs are not known yet", file=sys.stderr)


def _clock(seconds: float) -> str:
    """Seconds, formatted for a table."""
    from rnnlab.actions.status import format_seconds

    return "<1s" if seconds < 1 else format_seconds(seconds)


def _print_table(rows: Sequence[Sequence[str]], *, left: int) -> None:
    """Print aligned columns: the first `left` contain text, the others numbers."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            text.ljust(width) if column < left else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
