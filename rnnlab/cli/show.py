"""`rnnlab show`: print all information about single jobs."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rnnlab.cli.job_options import ExperimentOption, JobsArgument
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of

if TYPE_CHECKING:
    from rnnlab.queue.job import Event, Job


def show(
    jobs: JobsArgument,
    experiment: ExperimentOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Print the settings, result, history, files and traceback of jobs."""
    from rnnlab.actions.choose_job import chosen_job

    workspace = workspace_of(results)
    with open_store(db, workspace, read_only=True) as store:
        for job in [chosen_job(store, name, experiment) for name in jobs]:
            run_dir = workspace.run_dir(job.experiment, job.round, job.config_hash)
            _show(job, store.events(job.id, limit=None), run_dir)


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
        last_line = f": {detail[-1]}" if detail else ""
        print(f"history     {_when(event.at)} {event.kind}{who}, claim {event.epoch}{last_line}")
    files = sorted(path.name for path in run_dir.glob("*")) if run_dir.is_dir() else []
    print(f"files       {run_dir}: {', '.join(files) or 'no files'}")
    if job.error:
        print(f"error\n{job.error.rstrip()}")


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(sep=" ", timespec="seconds")
