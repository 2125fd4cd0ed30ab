"""More steps for finished jobs: they go on from their final checkpoints, with the bits of a run that never stopped."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnlab.errors import CheckpointError, UsageError
from rnnlab.files import Workspace, atomic_write, checkpoint_name
from rnnlab.planning import config_of, new_jobs, stored_plan
from rnnlab.queue.job import Job, Status
from rnnlab.queue.store import Store

EXTENDED_ROUND = "extended"
_INHERITED_EPOCH = 0  # claims count from 1: every checkpoint of the new job ranks above what it inherited


@dataclass(frozen=True)
class Extended:
    """What `extend` did."""

    added: int
    known: int  # were in the table already


def extend(store: Store, workspace: Workspace, jobs: Sequence[Job], length: int, unit: str = "windows") -> Extended:
    """Add a longer job for each of these, and lay its parent's final checkpoint into its run folder.

    `length`: how long it is in all, in the unit that the jobs are measured in: windows, iterations or epochs.

    The new jobs form a round of their own, so that the tables of the old one stay comparable. All are added, or none.
    Raises UsageError or CheckpointError, in one line, for a job that cannot be extended.
    """
    longer = {}
    for job in jobs:
        config = config_of(job)
        if job.status is not Status.DONE or (job.result or {}).get("diverged_at_step") is not None:
            raise UsageError(
                f"job {job.id} is {job.status}: only jobs that are done, and did not diverge, can be extended"
            )
        if unit != config.training.duration_name:
            raise UsageError(_wrong_unit(job, unit, config.training.duration_name))
        before = getattr(config.training, unit)
        if length <= before:
            raise UsageError(f"--{unit} {length}: job {job.id} has {before} already, give more")
        final = (job.result or {}).get("checkpoint")
        if final is None or not (workspace.results_dir / final).is_file():
            raise CheckpointError(
                f"job {job.id} has no final checkpoint in {workspace.results_dir}: it was trained elsewhere; "
                "--results names another folder"
            )
        longer[job.id] = config.with_settings({unit: length})
    added = 0
    for job in jobs:
        config = longer[job.id]
        run_dir = workspace.run_dir(job.experiment, EXTENDED_ROUND, config.hash)
        final = workspace.results_dir / (job.result or {})["checkpoint"]
        atomic_write(run_dir / checkpoint_name(_INHERITED_EPOCH, job.step), final.read_bytes())
        plan = stored_plan(store, job.experiment)
        added += store.add_jobs(job.experiment, plan.json, EXTENDED_ROUND, new_jobs([config]), instead_of=plan.stored)
    return Extended(added, len(jobs) - added)


def _wrong_unit(job: Job, given: str, own: str) -> str:
    if own == "schedule":
        return f"job {job.id} follows a schedule of learning rates, which ends as it was planned: it cannot be extended"
    return f"--{given}: the length of job {job.id} is measured in {own}: give --{own}"
