"""The best run of an experiment as an experiment file."""

from rnnlab.actions.choose_job import best_job
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.queue.store import Store
from rnnlab.spec.experiment_toml import experiment_toml

_LONGEST_STEM = 59  # a name has 64 characters at most


def best_as_toml(store: Store, experiment: str | None) -> str:
    """The text of an experiment file that has the run config of the best finished job and nothing else.

    experiment: its name in the job table; None: the only one there.
    Raises UsageError if no job of the experiment has a finite metric.
    """
    job = best_job(store, experiment)
    origin = stored_plan(store, job.experiment).experiment
    metric = origin.analysis.metric
    assert job.result is not None
    title = f"best of {job.experiment}: {metric} {job.result[metric]:.4f}, job {job.id} of round {job.round}"
    return experiment_toml(config_of(job), f"{job.experiment[:_LONGEST_STEM]}-best", title, origin.code)
