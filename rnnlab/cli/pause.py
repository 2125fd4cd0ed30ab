"""`rnnlab pause`: stop jobs and keep their progress."""

from rnnlab.cli.job_options import ExperimentOption, ManyJobsArgument, RoundOption, change_jobs
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS


def pause(
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Pause jobs. A job in training first writes a checkpoint; `rnnlab resume` continues it."""
    from rnnlab.actions.choose_job import JobSelection

    selection = JobSelection(tuple(jobs or ()), experiment, round_name)
    change_jobs(selection, lambda store, ids: store.pause(ids), db, results, undo="resume")
