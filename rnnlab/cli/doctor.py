"""`rnnlab doctor`: diagnose problems of this machine."""

import typer

from rnnlab.cli.options import DatabaseOption, PlotsOption, ResultsOption
from rnnlab.workspace import DEFAULT_PLOTS, DEFAULT_RESULTS, workspace_of


def doctor(
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    plots: PlotsOption = DEFAULT_PLOTS,
) -> None:
    """Check Python, torch, device, folders, disk, database and corpora, and suggest remedies. Read only."""
    from rnnlab.actions.doctor import Verdict, run_checks

    workspace = workspace_of(results, plots)
    verdicts = []
    for finding in run_checks(workspace, db or workspace.default_database):
        verdicts.append(finding.verdict)
        print(f"{finding.verdict.value:<8} {finding.topic:<15} {finding.text}")
    raise typer.Exit(1 if Verdict.BAD in verdicts else 0)
