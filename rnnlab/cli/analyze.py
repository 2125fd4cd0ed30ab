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
    code_flag,
    counted,
    open_store,
    repeat_flags,
    workspace_of,
    writable,
)

if TYPE_CHECKING:
    from rnnlab.plans.rounds import Progression
    from rnnlab.queue.store import Store

OnlyExperiment = Annotated[str | None, typer.Argument(help="Which experiment.", show_default="the only one")]


def analyze(
    experiment: OnlyExperiment = None,
    no_enqueue: Annotated[
        bool, typer.Option("--no-enqueue", help="Say what the next round would be; add no job.")
    ] = False,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
    plots: PlotsOption = DEFAULT_PLOTS,
) -> None:
    """Rank the runs, draw the pictures, write the report; when a round is complete, say what follows, and add it."""
    from rnnlab.actions.analyze import analyze_experiment
    from rnnlab.plans.plan import only_experiment
    from rnnlab.plans.rounds import advance

    workspace = workspace_of(results, plots)
    with open_store(db, workspace, read_only=no_enqueue) as store:
        name = only_experiment(store, experiment)
        folders = (workspace.experiment_dir(name), "results folder"), (workspace.plot_dir(name), "plots folder")
        with writable(*folders):
            analysis = analyze_experiment(store, workspace, name, enqueue=False)
        for round_name, report in analysis.reports.items():
            print(f"{round_name}: {report.sentence}")
        for report in analysis.reports.values():
            for path in report.pictures:
                print(shown(path))
        if analysis.reports:
            one = next(iter(analysis.reports.values()))
            print(shown(one.report))
            print(shown(one.page))
        progression = analysis.progression
        if progression.added is not None:
            print(next_round(store, name, progression), file=sys.stderr, flush=True)
            if not no_enqueue:
                progression = advance(store, name, enqueue=True)
    print(next_step(progression, repeat_flags(db, results)), file=sys.stderr)


def best(
    experiment: OnlyExperiment = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Print the best run as an experiment file: save it, change it, give it to `rnnlab init`."""
    from rnnlab.actions.choose_job import best_job
    from rnnlab.plans.plan import config_of, stored_plan
    from rnnlab.spec.experiment_toml import experiment_toml

    with open_store(db, workspace_of(results), read_only=True) as store:
        job = best_job(store, experiment)
        origin = stored_plan(store, job.experiment).experiment
    metric = origin.analysis.metric
    assert job.result is not None
    title = f"best of {job.experiment}: {metric} {job.result[metric]:.4f}, job {job.id} of round {job.round}"
    # A name has 64 characters at most.
    print(experiment_toml(config_of(job), f"{job.experiment[:59]}-best", title, origin.code), end="")


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
        print(f"{counted(rows.repeated, 'row')} with the settings of another one: further seeds", file=sys.stderr)
    if outcome.unfinished:
        print(
            f"{counted(outcome.unfinished, 'row')} left out: the table has such a job, which is not done. To import "
            "its result, use another database (--db) or another name (--as)",
            file=sys.stderr,
        )
    print(f"next: rnnlab analyze {plan.experiment.name}{repeat_flags(db, results)}", file=sys.stderr)


def next_round(store: "Store", name: str, progression: "Progression") -> str:
    """What the next round consists of, why, and what it will cost: some lines."""
    from rnnlab.actions.status import format_seconds, live_workers
    from rnnlab.cost.history import Speed, cost_of
    from rnnlab.plans.enqueue import new_jobs

    plan = progression.added
    assert plan is not None
    cost = cost_of(new_jobs(progression.lacking), Speed(store.progress(name)))
    lines = [plan.explain(), *(f"  {line}" for line in plan.changes())]
    part = "" if cost.jobs == len(plan.configs) else f" for the {cost.jobs:,} that the table lacks"
    lines.append(f"  cost{part}: {cost.steps:,} optimiser steps")
    workers = max(1, live_workers(store))
    seconds = cost.seconds / workers
    time = f"{'about ' if seconds >= 1 else ''}{format_seconds(seconds)} with {counted(workers, 'worker')}"
    if not cost.unmeasured:
        lines[-1] += f", {time}"
    elif cost.unmeasured < cost.jobs:
        measured = counted(cost.jobs - cost.unmeasured, "job")
        lines[-1] += f", {time} for the {measured} of sizes that were trained here before"
    return "\n".join(lines)


def next_step(progression: "Progression", flags: str, *, working: bool = False) -> str:
    """How far the rounds are and, unless workers are at it already, what to do next, in one sentence."""
    worker = "" if working else f"; next: rnnlab worker{code_flag(progression.own_cells)}{flags}"
    last = progression.rounds[-1]
    if last.complete:
        return "every round is complete"
    if not last.expected:
        return (
            f"round {last.name} has no jobs: no run of the round before has a finite result, or the rules of the round "
            "leave none of them: change the experiment file, then `rnnlab init` it again"
        )
    if progression.added is not None:
        if progression.n_added:
            return f"round {last.name}: {counted(progression.n_added, 'job')} added{worker}"
        are = "job is" if last.missing == 1 else "jobs are"
        return f"round {last.name}: {last.missing:,} {are} not in the table yet; rnnlab analyze{flags} adds them"
    if last.missing:
        return (
            f"round {last.name}: {last.missing} of {last.expected} jobs are not in the table: "
            "`rnnlab init` adds them, or `rnnlab import` their results"
        )
    if last.failed:
        return (
            f"round {last.name}: {last.failed} of {last.expected} jobs failed: "
            f"`rnnlab retry --failed{flags}` lets them run again; the next round needs them all"
        )
    if last.paused:
        return (
            f"round {last.name}: {last.paused} of {last.expected} jobs are paused: "
            "`rnnlab resume JOB...` lets them go on, `rnnlab cancel JOB...` gives them up"
        )
    return f"round {last.name}: {last.done} of {last.expected} jobs are done{worker}"


def shown(path: Path) -> Path:
    """A path as a person would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
