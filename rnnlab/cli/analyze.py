"""`rnnlab analyze`: tables, plots, the report, and the next round."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import DatabaseOption, OnlyExperiment, PlotsOption, ResultsOption, repeat_flags, shown_path
from rnnlab.cli.round_text import next_round_text, next_step
from rnnlab.workspace import DEFAULT_PLOTS, DEFAULT_RESULTS, workspace_of

if TYPE_CHECKING:
    from rnnlab.actions.analyze import Analysis
    from rnnlab.actions.next_round import NextRound


def analyze(
    experiment: OnlyExperiment = None,
    no_enqueue: Annotated[
        bool, typer.Option("--no-enqueue", help="Print the next round, but do not add its jobs.")
    ] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    plots: PlotsOption = DEFAULT_PLOTS,
) -> None:
    """Rank the runs, draw plots and write the report. When a round is complete, print and add the next round."""
    from rnnlab.actions.analyze import analyze as analyze_experiment

    analysis = analyze_experiment(
        db,
        workspace_of(results, plots),
        experiment,
        enqueue=not no_enqueue,
        on_reports=_print_reports,
        on_next=_print_next,
    )
    print(next_step(analysis.progression, repeat_flags(db, results)), file=sys.stderr)


def _print_reports(analysis: "Analysis") -> None:
    for round_name, report in analysis.reports.items():
        print(f"{round_name}: {report.sentence}")
    for report in analysis.reports.values():
        for path in report.pictures:
            print(shown_path(path))
    if analysis.reports:
        one = next(iter(analysis.reports.values()))
        print(shown_path(one.report))
        print(shown_path(one.page))


def _print_next(coming: "NextRound") -> None:
    print(next_round_text(coming), file=sys.stderr, flush=True)
