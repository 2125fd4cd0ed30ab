"""`rnnlab resume`: continue paused jobs."""

from rnnlab.cli.job_options import ExperimentOption, ManyJobsArgument, RoundOption, change_jobs
from rnnlab.cli.options import DatabaseOption, ResultsOption
from rnnlab.workspace import DEFAULT_RESULTS


def resume(
    jobs: ManyJobsArgument = None,
    experiment: ExperimentOption = None,
    round_name: RoundOption = None,
    db: DatabaseOption = None,
    results: ResultsOption = DEFAULT_RESULTS,
) -> None:
    """Resume paused jobs, so that workers can claim them again."""
    from rnnlab.actions.choose_job import JobSelection

    selection = JobSelection(tuple(jobs or ()), experiment, round_name)
    change_jobs(selection, lambda store, ids: store.resume(ids), db, results)
