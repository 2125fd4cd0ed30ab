"""`rnnlab logs`: the log of one job."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from rnnlab.cli.job_options import ExperimentOption
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS, open_store, workspace_of

_FOLLOW_SECONDS = 0.5


def logs(
    job: Annotated[str, typer.Argument(help="A job's number or the first digits of its hash.")],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Continue printing until the job has ended.")] = False,
    experiment: ExperimentOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Print the log of a job."""
    from rnnlab.actions.choose_job import chosen_job
    from rnnlab.errors import UsageError
    from rnnlab.queue.job import Status

    workspace = workspace_of(results)
    with open_store(db, workspace, read_only=True) as store:
        chosen = chosen_job(store, job, experiment)
        path = workspace.run_dir(chosen.experiment, chosen.round, chosen.config_hash) / "log.txt"
        if not path.exists() and not follow:
            raise UsageError(f"job {chosen.id} has no log in {path.parent}: it has not been trained with this folder")
        printed = 0
        while True:
            current = store.job(chosen.id)
            ended = current is None or current.status not in (Status.PENDING, Status.RUNNING)
            printed += _print_from(path, printed)
            if not follow or ended:
                return
            time.sleep(_FOLLOW_SECONDS)


def _print_from(path: Path, start: int) -> int:
    """Print the file from byte `start` to its end. Returns the number of bytes printed."""
    if not path.exists():
        return 0
    with path.open("rb") as stream:
        stream.seek(start)
        data = stream.read()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return len(data)
