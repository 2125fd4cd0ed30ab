"""Lines of a status that are shared by the plain text and the full-screen view."""

from typing import TYPE_CHECKING

from rnnlab.cli.options import code_flag, counted

if TYPE_CHECKING:
    from rnnlab.actions.status import ExperimentStatus


def time_left(one: "ExperimentStatus") -> str:
    """The estimated time until all open jobs are done; empty if there are none."""
    from rnnlab.actions.status import format_seconds

    if not one.open_jobs:
        return ""
    if one.steps_per_second is None:
        return "time left unknown: nothing has been trained here yet"
    with_workers = counted(max(1, one.workers_alive), "worker")
    return (
        f"time left {format_seconds(one.seconds_left)} with {with_workers}, "
        f"{one.steps_per_second:,.0f} model-steps/s each"
    )


def best_so_far(one: "ExperimentStatus") -> str:
    """The best finished job; empty if no job is finished."""
    best = one.best
    if best is None:
        return ""
    return f"best so far {best.metric} {best.value:.4f}: job {best.job_id} of round {best.round}"


def hint(one: "ExperimentStatus") -> str:
    """The next command, if no worker is making progress; otherwise empty. Flags can be appended to it."""
    failed = sum(part.failed for part in one.rounds)
    if one.open_jobs:
        return "" if one.workers_alive else f"next: rnnlab worker {one.experiment}{code_flag(one.own_cells)}"
    if failed:
        return f"{counted(failed, 'job')} failed; to run them again: rnnlab retry --failed"
    return f"next: rnnlab analyze {one.experiment}" if one.rounds_to_come else ""
