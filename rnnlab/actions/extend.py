"""Trains finished jobs longer, from their final checkpoints, with the same bits as an uninterrupted run."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from rnnlab.errors import CheckpointError, DatabaseAwayError, RnnlabError, UsageError
from rnnlab.files import Workspace, atomic_write, checkpoint_name
from rnnlab.plans.enqueue import new_jobs
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.queue.job import Job, Status
from rnnlab.queue.store import Store
from rnnlab.spec.run_config import RunConfig

EXTENDED_ROUND = "extended"
_INHERITED_EPOCH = 0  # epochs of claims start at 1, so every checkpoint of the new job precedes the inherited one


@dataclass(frozen=True)
class Extended:
    """The outcome of `extend`."""

    added: int
    known: int  # jobs that were already in the table


def extend(store: Store, workspace: Workspace, jobs: Sequence[Job], length: int, unit: str = "windows") -> Extended:
    """Add a longer job for each of the jobs, and copy the final checkpoint to its run folder.

    length: total length of the new jobs. unit: the unit in which the length of the jobs is given: windows, iterations
    or epochs.

    The new jobs form a separate round, so that the tables of the old rounds remain comparable. Either all or none of
    the jobs of one experiment are added.
    Raises UsageError or CheckpointError, in one line, for a job that cannot be extended, before anything is written;
    RnnlabError if a checkpoint cannot be written.
    """
    longer: dict[int, RunConfig] = {}
    for job in jobs:
        config = config_of(job)
        if job.status is not Status.DONE or (job.result or {}).get("diverged_at_step") is not None:
            raise UsageError(
                f"job {job.id} is {job.status}: only jobs that are done and did not diverge can be extended"
            )
        if unit != config.training.duration_name:
            raise UsageError(_wrong_unit(job, unit, config.training.duration_name))
        before = getattr(config.training, unit)
        if length <= before:
            raise UsageError(f"--{unit} {length}: job {job.id} already has {before}: give a larger number")
        final = (job.result or {}).get("checkpoint")
        if final is None or not (workspace.results_dir / final).is_file():
            raise CheckpointError(
                f"job {job.id} has no final checkpoint in {workspace.results_dir}: it was trained with another folder: "
                "give that folder with --results"
            )
        longer[job.id] = config.with_settings({unit: length})
    inherited = _InheritedCheckpoints(workspace)
    added = 0
    by_experiment: dict[str, list[Job]] = {}
    for job in jobs:
        by_experiment.setdefault(job.experiment, []).append(job)
    try:
        for job in jobs:
            inherited.copy(job, longer[job.id])
        for name, of_experiment in by_experiment.items():
            plan = stored_plan(store, name)
            new = new_jobs(longer[job.id] for job in of_experiment)
            started = [(one, job.step, job.seconds) for one, job in zip(new, of_experiment, strict=True)]
            added += store.add_begun(name, plan.json, EXTENDED_ROUND, started, instead_of=plan.stored)
            inherited.keep(name)
    except DatabaseAwayError:
        raise  # the jobs may have been added nevertheless; `rnnlab gc` finds checkpoints without a job
    except BaseException:
        inherited.remove()
        raise
    return Extended(added, len(jobs) - added)


class _InheritedCheckpoints:
    """Checkpoints copied to the run folders of jobs that are about to be added."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._new: dict[
            str, list[Path]
        ] = {}  # by experiment, to be removed on failure; without files that existed before

    def copy(self, job: Job, longer: RunConfig) -> None:
        """Copy the final checkpoint of a job. Raises RnnlabError, in one line, if it cannot be written."""
        final = self._workspace.results_dir / (job.result or {})["checkpoint"]
        run_dir = self._workspace.run_dir(job.experiment, EXTENDED_ROUND, longer.hash)
        path = run_dir / checkpoint_name(_INHERITED_EPOCH, job.step)
        try:
            if not path.exists():
                self._new.setdefault(job.experiment, []).append(path)
            atomic_write(path, final.read_bytes())
        except OSError as error:
            raise RnnlabError(
                f"checkpoint {final} cannot be copied to {run_dir} ({error.strerror or error}), nothing was added: "
                "free some space or make the folder writable, then run the command again"
            ) from error

    def keep(self, experiment: str) -> None:
        """Keep the checkpoints of an experiment whose jobs were added."""
        self._new.pop(experiment, None)

    def remove(self) -> None:
        """Remove the checkpoints of jobs that were not added, and folders that are then empty."""
        for path in chain.from_iterable(self._new.values()):
            with suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()
                path.parent.parent.rmdir()


def _wrong_unit(job: Job, given: str, own: str) -> str:
    if own == "schedule":
        return f"job {job.id} has a schedule of learning rates with a fixed end: it cannot be extended"
    return f"--{given}: the length of job {job.id} is given in {own}: use --{own}"
