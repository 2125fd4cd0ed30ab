"""Verbs about single jobs: show, logs, pause, resume, cancel, retry, priority, extend."""

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rnnlab.cli.options import (
    DEFAULT_RESULTS,
    DatabaseOption,
    ResultsOption,
    counted,
    open_store,
    repeat_flags,
    workspace_of,
)

if TYPE_CHECKING:
    from rnnlab.queue.job import Event, Job
    from rnnlab.queue.store import Store

_FOLLOW_SECONDS = 0.5

JobsArgument = Annotated[
    list[str], typer.Argument(metavar="JOB...", help="Numbers of jobs, or the first digits of their hashes.")
]
ManyJobsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[JOB...]", help="Jobs, by number or hash; none: all of --experiment."),
]
RoundOption = Annotated[str | None, typer.Option("--round", help="Without JOB: only the jobs of this round.")]
ExperimentOption = Annotated[str | None, typer.Option("--experiment", help="Look for the jobs in this experiment.")]


def show(
    jobs: JobsArgument,
    experiment: ExperimentOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Print a job's settings, result, history, traceback, and where its files are."""
    workspace = workspace_of(results)
    with open_store(db, workspace, read_only=True) as store:
        for job in _jobs(store, jobs, experiment):
            run_dir = workspace.run_dir(job.experiment, job.round, job.config_hash)
            _show(job, store.events(job.id, limit=None), run_dir)


def logs(
    job: Annotated[str, typer.Argument(help="A job's number or the first digits of its hash.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing until the job has ended.")] = False,
    experiment: ExperimentOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Print a job's log."""
    from rnnlab.errors import UsageError
    from rnnlab.queue.job import Status

    workspace = workspace_of(results)
    with open_store(db, workspace, read_only=True) as store:
        (chosen,) = _jobs(store, [job], experiment)
        path = workspace.run_dir(chosen.experiment, chosen.round, chosen.config_hash) / "log.txt"
        if not path.exists() and not follow:
            raise UsageError(f"job {chosen.id} has no log in {path.parent}: it was not trained here (yet)")
        printed = 0
        while True:
            current = store.job(chosen.id)
            ended = current is None or current.status not in (Status.PENDING, Status.RUNNING)
            printed += _print_from(path, printed)
            if not follow or ended:
                return
            time.sleep(_FOLLOW_SECONDS)


def pause(
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Take jobs out of the running: one in training writes a checkpoint first. `resume` lets them go on."""
    _apply(jobs, experiment, round_name, db, results, lambda store, ids: store.pause(ids), undo="resume")


def resume(
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Let paused jobs be claimed again."""
    _apply(jobs, experiment, round_name, db, results, lambda store, ids: store.resume(ids))


def cancel(
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """End jobs without a result. Their history and checkpoints stay; `retry` takes it back."""
    _apply(jobs, experiment, round_name, db, results, lambda store, ids: store.cancel(ids), undo="retry")


def priority(
    value: Annotated[int, typer.Argument(help="Higher is claimed first; new jobs have 0.", min=-1000, max=1000)],
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Let jobs be claimed before or after others."""
    _apply(jobs, experiment, round_name, db, results, lambda store, ids: store.set_priority(ids, value))


def retry(
    jobs: ManyJobsArgument = None,
    failed: Annotated[bool, typer.Option("--failed", help="All failed jobs.")] = False,
    experiment: Annotated[str | None, typer.Option("--experiment", help="Only jobs of this experiment.")] = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Let failed and cancelled jobs be claimed again; they go on from their last checkpoint."""
    from rnnlab.errors import UsageError
    from rnnlab.plans.plan import only_experiment

    if not failed:
        _apply(jobs, experiment, round_name, db, results, lambda store, ids: store.retry(ids))
        return
    if jobs or round_name is not None:
        raise UsageError("--failed means all failed jobs: leave it out, or JOB and --round")
    with open_store(db, workspace_of(results)) as store:
        if experiment is not None:
            only_experiment(store, experiment)
        _report(store.retry(experiment=experiment))


def extend(
    jobs: JobsArgument,
    windows: Annotated[
        int | None, typer.Option(min=1, help="Windows in all, more than the jobs have had (online regime).")
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps in all (jobs that are measured in iterations).")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs in all (jobs that are measured in epochs).")] = None,
    experiment: ExperimentOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Train finished jobs longer, from their final checkpoints, as new jobs in a round called extended."""
    from rnnlab.actions.extend import extend as extend_jobs
    from rnnlab.errors import UsageError

    lengths = {"windows": windows, "iterations": iterations, "epochs": epochs}
    given = [(length, unit) for unit, length in lengths.items() if length is not None]
    if len(given) != 1:
        raise UsageError("give one of --windows, --iterations and --epochs: how long the jobs are to be in all")
    workspace = workspace_of(results)
    with open_store(db, workspace) as store:
        outcome = extend_jobs(store, workspace, _jobs(store, jobs, experiment), *given[0])
    print(f"added {outcome.added} jobs to round extended, {outcome.known} were there already")
    print("next: rnnlab worker", file=sys.stderr)


def _jobs(store: "Store", names: Sequence[str], experiment: str | None) -> "list[Job]":
    from rnnlab.actions.choose_job import chosen_job

    return [chosen_job(store, name, experiment) for name in names]


def _apply(
    names: Sequence[str] | None,
    experiment: str | None,
    round_name: str | None,
    db: str | None,
    results: Path,
    verb: "Callable[[Store, list[int]], Mapping[int, str]]",
    *,
    undo: str | None = None,
) -> None:
    """Do something to the jobs that are named, one line each; or to all of an experiment or a round: how many."""
    from rnnlab.errors import UsageError

    if names and round_name is not None:
        raise UsageError(f"--round {round_name}: it goes with --experiment, where no JOB is named")
    if not names and experiment is None:
        raise UsageError("give jobs, or --experiment NAME for all of its jobs")
    with open_store(db, workspace_of(results)) as store:
        if names:
            _report(verb(store, [job.id for job in _jobs(store, names, experiment)]))
            return
        assert experiment is not None
        outcomes = Counter(verb(store, _all_jobs(store, experiment, round_name)).values())
    for outcome, number in outcomes.items():
        print(f"{counted(number, 'job')}: {outcome}")
    if undo is not None:
        which = f" --round {round_name}" if round_name else ""
        flags = repeat_flags(db, results)
        print(f"to take it back: rnnlab {undo} --experiment {experiment}{which}{flags}", file=sys.stderr)


def _all_jobs(store: "Store", experiment: str, round_name: str | None) -> list[int]:
    from rnnlab.errors import UsageError
    from rnnlab.plans.plan import only_experiment

    rounds = list(dict.fromkeys(found for _, found, _ in store.counts(only_experiment(store, experiment))))
    if round_name is not None and round_name not in rounds:
        raise UsageError(f"--round {round_name}: {experiment} has jobs in {', '.join(rounds) or 'no round'}")
    return [job.id for job in store.jobs(experiment, round_name)]


def _report(outcomes: Mapping[int, str]) -> None:
    for job_id, outcome in outcomes.items():
        print(f"job {job_id}: {outcome}")
    if not outcomes:
        print("no such job")


def _print_from(path: Path, start: int) -> int:
    """Print what the file has from byte `start` on; returns how many bytes that were."""
    if not path.exists():
        return 0
    with path.open("rb") as stream:
        stream.seek(start)
        data = stream.read()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return len(data)


def _show(job: "Job", events: "list[Event]", run_dir: Path) -> None:
    from rnnlab.plans.plan import config_of

    print(f"job {job.id}: {job.status}, step {job.step:,} of {job.target_steps:,}")
    print(f"experiment  {job.experiment}, round {job.round}")
    print(f"hash        {job.config_hash}")
    print(f"priority    {job.priority}, {job.seconds:,.0f} s in training, {job.epoch} claims")
    for name, value in config_of(job).settings.items():
        print(f"setting     {name} = {value}")
    for name, value in (job.result or {}).items():
        print(f"result      {name} = {value}")
    for event in events:
        who = f" by worker {event.worker_id}" if event.worker_id else ""
        detail = event.detail.strip().splitlines()
        told = f": {detail[-1]}" if detail else ""
        print(f"history     {_when(event.at)} {event.kind}{who}, claim {event.epoch}{told}")
    files = sorted(path.name for path in run_dir.glob("*")) if run_dir.is_dir() else []
    print(f"files       {run_dir}: {', '.join(files) or 'none here'}")
    if job.error:
        print(f"error\n{job.error.rstrip()}")


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
