"""`rnnlab cancel`: jobs end without a result."""

from rnnlab.cli.job_options import ExperimentOption, ManyJobsArgument, RoundOption, change_jobs
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS


def cancel(
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """End jobs without a result. Their history and checkpoints stay; `retry` reverts it."""
    from rnnlab.actions.choose_job import JobSelection

    selection = JobSelection(tuple(jobs or ()), experiment, round_name)
    change_jobs(selection, lambda store, ids: store.cancel(ids), db, results, undo="retry")
