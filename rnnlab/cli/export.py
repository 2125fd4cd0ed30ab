"""`rnnlab export`: write runs and curves in formats of other tools."""

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import DatabaseOption, OnlyExperiment, ResultsOption, counted, shown_path
from rnnlab.errors import UsageError
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of, writable

if TYPE_CHECKING:
    from rnnlab.actions.export.exported_runs import ExportedRuns


class Format(StrEnum):
    """Output formats of `rnnlab export`."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"
    OPTUNA = "optuna"
    TENSORBOARD = "tensorboard"


_NAMES = {Format.PARQUET: "{table}.parquet", Format.OPTUNA: "optuna.log", Format.TENSORBOARD: "tensorboard"}
_VIEWERS = {Format.OPTUNA: "optuna-dashboard", Format.TENSORBOARD: "tensorboard --logdir"}


def export(
    to: Annotated[Format, typer.Option("--to", help="Output format.")],
    experiment: OnlyExperiment = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File to write; for tensorboard, a folder. An earlier export is replaced.",
            show_default="csv, json: standard output; others: in the experiment's results folder",
        ),
    ] = None,
    curves: Annotated[
        bool, typer.Option("--curves", help="Write the points of the training curves, not the runs (csv and parquet).")
    ] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Export all runs, finished or not, with their settings and results, for other tools."""
    from rnnlab.actions.export.exported_runs import read_runs
    from rnnlab.plans.plan import only_experiment

    if curves and to not in (Format.CSV, Format.PARQUET):
        raise UsageError(f"--curves applies to csv and parquet: --to {to} always contains the curves")
    workspace = workspace_of(results)
    with open_store(db, workspace, read_only=True) as store:
        runs = read_runs(store, only_experiment(store, experiment))
    if out is None and to in _NAMES:
        name = _NAMES[to].format(table="curves" if curves else "runs")
        out = workspace.experiment_dir(runs.experiment) / name
    if out is None:
        sys.stdout.write(_contents(runs, to, curves).decode())
    else:
        with writable((out.absolute().parent, "folder")):
            _write(runs, to, out, curves)
        print(shown_path(out))
    _say(f"{runs.experiment}: {counted(len(runs.jobs), 'run')} of {counted(len(runs.rounds), 'round')}")
    if out is not None and to in _VIEWERS:
        _say(f"next: {_VIEWERS[to]} {shlex.quote(str(shown_path(out)))}")


def _write(runs: "ExportedRuns", to: Format, out: Path, curves: bool) -> None:
    from rnnlab.actions.export.destinations import replace_file, replace_folder

    if to is Format.TENSORBOARD:
        from rnnlab.actions.export.event_files import FILE_NAME, fill_folder, shown_jobs

        replace_folder(out, lambda folder: fill_folder(runs, folder), FILE_NAME)
        if left_out := len(runs.jobs) - len(shown_jobs(runs)):
            _say(f"{counted(left_out, 'run')} omitted: nothing has been recorded for them")
        return
    if to is Format.OPTUNA:
        from rnnlab.actions.export.optuna_studies import check_replaceable

        check_replaceable(out)
    replace_file(out, _contents(runs, to, curves))


def _contents(runs: "ExportedRuns", to: Format, curves: bool) -> bytes:
    if to is Format.OPTUNA:
        from rnnlab.actions.export.optuna_studies import journal

        return journal(runs)
    from rnnlab.actions.export.data_frames import curve_table, run_table, to_csv, to_json, to_parquet

    if to is Format.JSON:
        return to_json(runs)
    table = curve_table(runs) if curves else run_table(runs)
    return to_parquet(table) if to is Format.PARQUET else to_csv(table)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
