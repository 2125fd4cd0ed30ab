"""`rnnlab analyze`, `best` and `import`: answers, and results from elsewhere."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import (
    DEFAULT_PLOTS,
    DEFAULT_RESULTS,
    CorpusOption,
    DatabaseOption,
    PlotsOption,
    ResultsOption,
    ScaleOption,
    open_store,
    repeat_flags,
    workspace_of,
)

if TYPE_CHECKING:
    from rnnlab.planning import Progression


def analyze(
    experiment: Annotated[str | None, typer.Argument(help="Which experiment. [default: the only one]")] = None,
    no_enqueue: Annotated[
        bool, typer.Option("--no-enqueue", help="Say what the next round would be; add no job.")
    ] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    plots: PlotsOption = DEFAULT_PLOTS,
) -> None:
    """Rank the runs, draw the pictures, write the report; when a round is complete, add the next one."""
    from rnnlab.analyzing import analyze_experiment
    from rnnlab.files import ensure_writable_dir
    from rnnlab.planning import only_experiment

    workspace = workspace_of(results, plots)
    with open_store(db, workspace) as store:
        name = only_experiment(store, experiment)
        ensure_writable_dir(workspace.experiment_dir(name), "results folder")
        ensure_writable_dir(workspace.plot_dir(name), "plots folder")
        analysis = analyze_experiment(store, workspace, name, enqueue=not no_enqueue)
    for round_name, report in analysis.reports.items():
        print(f"{round_name}: {report.sentence}")
    for report in analysis.reports.values():
        for path in report.pictures:
            print(shown(path))
    if analysis.reports:
        print(shown(next(iter(analysis.reports.values())).report))
    print(next_step(analysis.progression, repeat_flags(db, results)), file=sys.stderr)


def best(
    experiment: Annotated[str | None, typer.Argument(help="Which experiment. [default: the only one]")] = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Print the best run as an experiment file: save it, change it, give it to `rnnlab init`."""
    from rnnlab.cli.choosing import best_job
    from rnnlab.planning import config_of, stored_plan
    from rnnlab.spec.export import experiment_toml

    with open_store(db, workspace_of(results), read_only=True) as store:
        job = best_job(store, experiment)
        metric = stored_plan(store, job.experiment).experiment.analysis.metric
    assert job.result is not None
    title = f"best of {job.experiment}: {metric} {job.result[metric]:.4f}, job {job.id} of round {job.round}"
    print(experiment_toml(config_of(job), f"{job.experiment}-best", title), end="")


def import_results(
    file: Annotated[
        Path, typer.Argument(help="CSV: a column for each setting, the metric, optionally seconds and seed.")
    ],
    experiment: Annotated[str, typer.Option(help="The experiment, built in or a file, whose runs these are.")],
    round_name: Annotated[str, typer.Option("--round", help="The round that they belong to.")] = "explore",
    name: Annotated[str | None, typer.Option("--as", help="Keep them apart, as an experiment of this name.")] = None,
    corpus: CorpusOption = None,
    scale: ScaleOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Add results that were computed elsewhere as finished jobs; `rnnlab analyze` treats them like its own."""
    from rnnlab.importing import import_results as import_file
    from rnnlab.planning import make_plan
    from rnnlab.spec.experiment import renamed
    from rnnlab.spec.library import find_experiment

    found = find_experiment(experiment, scale)
    plan = make_plan(renamed(found, name) if name else found, corpus, need_text=False)
    with open_store(db, workspace_of(results), create=True) as store:
        outcome = import_file(store, plan, round_name, file)
    print(
        f"{plan.experiment.name}: added {outcome.added} finished jobs to round {round_name}, {outcome.rows} rows read"
    )
    if outcome.repeated:
        print(f"{outcome.repeated} rows repeat the settings of another: they count as further seeds", file=sys.stderr)


def next_step(progression: "Progression", flags: str) -> str:
    """What to do next, in one sentence."""
    last = progression.rounds[-1]
    if last.complete:
        return "every round is complete"
    if progression.added is not None:
        verb = "added" if progression.n_added else "would come next"
        if progression.n_added and progression.n_added < last.expected:
            verb = f"{progression.n_added} of them added"
        command = f"; next: rnnlab worker{flags}" if progression.n_added else ""
        return f"{progression.added.explain()}: {verb}{command}"
    if last.missing:
        return (
            f"round {last.name}: {last.missing} of {last.expected} jobs are not in the table: "
            "`rnnlab init` adds them, or `rnnlab import` their results"
        )
    if last.failed:
        return (
            f"round {last.name}: {last.failed} of {last.expected} jobs failed: "
            f"`rnnlab retry{flags}` lets them run again; the next round needs them all"
        )
    return f"round {last.name}: {last.done} of {last.expected} jobs are done; next: rnnlab worker{flags}"


def shown(path: Path) -> Path:
    """A path as a person would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
