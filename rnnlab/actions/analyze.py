"""The work of `rnnlab analyze`: tables, pictures and the report of an experiment, and its next round."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from rnnlab.actions.next_round import NextRound, next_round
from rnnlab.actions.report_sample import best_sample
from rnnlab.analysis.html.origin import origin
from rnnlab.analysis.html.page import Page, page_html
from rnnlab.analysis.html.runs_table import runs_data
from rnnlab.analysis.question import Question
from rnnlab.analysis.report import RoundReport, write_round
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.files import Workspace, atomic_write_text
from rnnlab.plans.plan import only_experiment, stored_plan
from rnnlab.plans.rounds import Progression, advance
from rnnlab.queue.job import Status
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import Experiment
from rnnlab.spec.experiment_tables import AnalysisSettings
from rnnlab.workspace import open_store, writable


@dataclass(frozen=True)
class Analysis:
    """The reports that were written, and the state of the rounds."""

    reports: dict[str, RoundReport]  # by round, in order
    progression: Progression


def analyze(
    database: str | None,
    workspace: Workspace,
    experiment: str | None,
    *,
    enqueue: bool,
    on_reports: Callable[["Analysis"], None] = lambda analysis: None,
    on_next: Callable[[NextRound], None] = lambda coming: None,
) -> Analysis:
    """Write the report of every round that has jobs; with `enqueue`, add the next round when the last is complete.

    database: a path or a URL; None: the one of the workspace. experiment: None: the only one of the table. on_reports:
    called when the reports are written. on_next: called with the round that follows, before its jobs are added.

    Raises UsageError if the experiment is not in the table, or names a metric that its results do not have, or if a
    folder cannot be written; DatabaseError.
    """
    with open_store(database, workspace, read_only=not enqueue) as store:
        name = only_experiment(store, experiment)
        folders = (workspace.experiment_dir(name), "results folder"), (workspace.plot_dir(name), "plots folder")
        with writable(*folders):
            progression = advance(store, name, enqueue=False)
            reports = write_reports(store, workspace, name)
        on_reports(Analysis(reports, progression))
        if (coming := next_round(store, name, progression)) is not None:
            on_next(coming)
            if enqueue:
                progression = advance(store, name, enqueue=True)
    return Analysis(reports, progression)


def write_reports(store: Store, workspace: Workspace, name: str) -> dict[str, RoundReport]:
    """Write tables, pictures and the report of every round with a finished job, and the page of all rounds."""
    experiment = stored_plan(store, name).experiment
    wanted = experiment.analysis
    others = {round_name for _, round_name, _ in store.counts(name)} - set(experiment.round_names)
    frames = {
        round_name: results_frame(store.jobs(name, round_name))
        for round_name in [*experiment.round_names, *sorted(others)]
    }
    rounds = {
        round_name: Runs(frame, _question(wanted, frame))
        for round_name, frame in frames.items()
        if (frame["status"] == Status.DONE.value).any()
    }
    reports = {
        round_name: write_round(
            workspace,
            name,
            round_name,
            RoundStatistics(runs, [other for other_name, other in rounds.items() if other_name != round_name]),
            store.curves(name, round_name),
        )
        for round_name, runs in rounds.items()
    }
    if reports:
        _write_page(store, workspace, experiment, reports)
    return reports


def _question(wanted: AnalysisSettings, frame: pd.DataFrame) -> Question:
    """The question for one round. A focus on a value that none of its runs has is dropped: its table would be empty."""
    present = all(name in frame.columns and (frame[name] == value).any() for name, value in wanted.focus.items())
    focus = wanted.focus if present else {}
    return Question(wanted.metric, wanted.threshold, wanted.threshold_meaning, wanted.about, focus)


def _write_page(store: Store, workspace: Workspace, experiment: Experiment, reports: Mapping[str, RoundReport]) -> None:
    name, metric = experiment.name, experiment.analysis.metric
    jobs = store.jobs(name)
    page = Page(
        name=name,
        title=experiment.title,
        sections=[report.section for report in reports.values()],
        runs=runs_data(Runs(results_frame(jobs), Question(metric))),
        n_runs=len(jobs),
        origin=origin(jobs),
        sample=best_sample(store, workspace, name, metric),
    )
    atomic_write_text(next(iter(reports.values())).page, page_html(page))
