"""More steps for finished jobs: they go on from their final checkpoints, with the bits of a run that never stopped."""

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
_INHERITED_EPOCH = 0  # claims count from 1: every checkpoint of the new job ranks above what it inherited


@dataclass(frozen=True)
class Extended:
    """What `extend` did."""

    added: int
    known: int  # were in the table already


def extend(store: Store, workspace: Workspace, jobs: Sequence[Job], length: int, unit: str = "windows") -> Extended:
    """Add a longer job for each of these, and lay its parent's final checkpoint into its run folder.

    `length`: how long it is in all, in the unit that the jobs are measured in: windows, iterations or epochs.

    The new jobs form a round of their own, so that the tables of the old one stay comparable. Those of one experiment
    are added all, or none.
    Raises UsageError or CheckpointError, in one line, for a job that cannot be extended, before anything is written;
    RnnlabError where the disk does not take a checkpoint.
    """
    longer: dict[int, RunConfig] = {}
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
    inherited = _Inherited(workspace)
    added = 0
    by_experiment: dict[str, list[Job]] = {}
    for job in jobs:
        by_experiment.setdefault(job.experiment, []).append(job)
    try:
        for job in jobs:
            inherited.lay(job, longer[job.id])
        for name, of_experiment in by_experiment.items():
            plan = stored_plan(store, name)
            new = new_jobs(longer[job.id] for job in of_experiment)
            begun = [(one, job.step, job.seconds) for one, job in zip(new, of_experiment, strict=True)]
            added += store.add_begun(name, plan.json, EXTENDED_ROUND, begun, instead_of=plan.stored)
            inherited.keep(name)
    except DatabaseAwayError:
        raise  # they may have been added all the same; `rnnlab gc` finds what belongs to nobody
    except BaseException:
        inherited.take_back()
        raise
    return Extended(added, len(jobs) - added)


class _Inherited:
    """The checkpoints that are laid into the run folders of jobs to be."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._new: dict[str, list[Path]] = {}  # by experiment; files that were there before are not ours to take back

    def lay(self, job: Job, longer: RunConfig) -> None:
        """Copy the final checkpoint of a job. Raises RnnlabError, in one line, where the disk does not take it."""
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
                "free some space or make the folder writable, then run the same command again"
            ) from error

    def keep(self, experiment: str) -> None:
        """Its jobs were added."""
        self._new.pop(experiment, None)

    def take_back(self) -> None:
        """Remove what was laid for nothing, with the folders that are empty then."""
        for path in chain.from_iterable(self._new.values()):
            with suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()
                path.parent.parent.rmdir()


def _wrong_unit(job: Job, given: str, own: str) -> str:
    if own == "schedule":
        return f"job {job.id} follows a schedule of learning rates, which ends as it was planned: it cannot be extended"
    return f"--{given}: the length of job {job.id} is measured in {own}: give --{own}"
