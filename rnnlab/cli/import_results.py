"""`rnnlab import`: add results computed elsewhere."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rnnlab.cli.options import CorpusOption, DatabaseOption, ResultsOption, ScaleOption, counted, repeat_flags
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of


def import_results(
    file: Annotated[
        Path,
        typer.Argument(help="CSV file with a column for each setting and the metric; optionally seconds and seed."),
    ],
    experiment: Annotated[str, typer.Option(help="Experiment of the runs: a built-in one, or the path of a file.")],
    round_name: Annotated[str, typer.Option("--round", help="Round of the runs.")] = "explore",
    name: Annotated[str | None, typer.Option("--as", help="Add the results as an experiment of this name.")] = None,
    corpus: CorpusOption = None,
    scale: ScaleOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Import results computed elsewhere as finished jobs, which `rnnlab analyze` treats like its own."""
    from rnnlab.actions.import_results import add_results, read_results
    from rnnlab.plans.plan import make_plan
    from rnnlab.spec.experiment import renamed
    from rnnlab.spec.library import find_experiment

    found = find_experiment(experiment, scale)
    found = renamed(found, name) if name else found
    plan = make_plan(found, corpus, need_text=False, folder=Path(experiment).parent)
    rows = read_results(plan, round_name, file)
    with open_store(db, workspace_of(results), create=True) as store:
        outcome = add_results(store, rows)
    added, read = counted(outcome.added, "finished job"), counted(len(rows.runs), "row")
    print(f"{plan.experiment.name}: added {added} to round {round_name}, {read} read")
    if rows.repeated:
        print(f"{counted(rows.repeated, 'row')} with repeated settings imported as further seeds", file=sys.stderr)
    if outcome.unfinished:
        print(
            f"{counted(outcome.unfinished, 'row')} omitted: the table has an unfinished job with these settings. To "
            "import the result, use another database (--db) or another name (--as)",
            file=sys.stderr,
        )
    print(f"next: rnnlab analyze {plan.experiment.name}{repeat_flags(db, results)}", file=sys.stderr)
