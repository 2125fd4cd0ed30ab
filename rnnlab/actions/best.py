"""Writes the best run of an experiment as an experiment file."""

from rnnlab.actions.choose_job import best_job
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.queue.store import Store
from rnnlab.spec.experiment_toml import experiment_toml

_MAX_STEM_LENGTH = 59  # with "-best", the maximum of 64 characters for a name


def best_as_toml(store: Store, experiment: str | None) -> str:
    """The text of an experiment file whose only run is the best finished job.

    experiment: its name in the job table; None: the only one.
    Raises UsageError if no job of the experiment has a finite metric.
    """
    job = best_job(store, experiment)
    origin = stored_plan(store, job.experiment).experiment
    metric = origin.analysis.metric
    assert job.result is not None
    title = f"best of {job.experiment}: {metric} {job.result[metric]:.4f}, job {job.id} of round {job.round}"
    return experiment_toml(config_of(job), f"{job.experiment[:_MAX_STEM_LENGTH]}-best", title, origin.code)
