"""Reproduces published runs: adds the jobs that repeat them, and writes the table that compares the results."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rnnlab.analysis.words.reproduction_table import Measured, reproduction_text
from rnnlab.errors import UsageError
from rnnlab.files import Workspace, atomic_write
from rnnlab.plans.enqueue import new_jobs, prepare_to_enqueue
from rnnlab.plans.plan import Plan, config_of, stored_plan
from rnnlab.queue.job import Job, Status
from rnnlab.queue.reader import Reader
from rnnlab.queue.store import Store
from rnnlab.spec.published_runs import PublishedRun, Reproduction
from rnnlab.spec.run_config import RunConfig

REPRODUCTION_ROUND = "reproduction"
_PRIORITY = 1  # before the grid of the same experiment, which has 0


@dataclass(frozen=True)
class Enqueued:
    """The outcome of `enqueue_published`."""

    added: int
    wanted: int  # jobs of the reproduction, including those that were already in the table


def enqueue_published(store: Store, plan: Plan, *, seeds: int | None, only: Sequence[str]) -> Enqueued:
    """Add the published runs to the table.

    seeds: number of seeds per run; None: as in the file. only: parts of names; select only runs whose names contain one
    of them; empty: all runs.
    Raises UsageError if the experiment has no published runs, or none with such a name.
    """
    wanted = _reproduction(plan)
    chosen = [run for run in wanted.runs if not only or any(part in run.name for part in only)]
    if not chosen:
        raise UsageError(
            f"no published run of {plan.experiment.name} has {' or '.join(map(repr, only))} in its name: the runs are "
            f"{', '.join(run.name for run in wanted.runs)}"
        )
    plan = prepare_to_enqueue(store, plan)
    configs = [config for run in chosen for config in _configs(plan, run, seeds or wanted.seeds)]
    jobs = [replace(job, priority=_PRIORITY) for job in new_jobs(configs)]
    name = plan.experiment.name
    return Enqueued(store.add_jobs(name, plan.json, REPRODUCTION_ROUND, jobs, instead_of=plan.stored), len(jobs))


def open_published(store: Reader, name: str) -> int:
    """Number of jobs of the reproduction that are pending or running."""
    counts = store.counts(name)
    return sum(counts.get((name, REPRODUCTION_ROUND, status), 0) for status in (Status.PENDING, Status.RUNNING))


def write_reproduction(store: Reader, workspace: Workspace, name: str) -> Path:
    """Write results/<name>/reproduction.md: every published run and its own results, or that it was not run.

    Raises UsageError if the experiment has no published runs, or if one reports a metric that results do not contain.
    """
    plan = stored_plan(store, name)
    wanted = _reproduction(plan)
    done: dict[str, list[Job]] = {}
    for job in store.jobs(name, REPRODUCTION_ROUND, Status.DONE):
        done.setdefault(_without_seed(config_of(job)), []).append(job)
    measured = [_measured(plan, run, done) for run in wanted.runs]
    path = workspace.experiment_dir(name) / "reproduction.md"
    atomic_write(path, reproduction_text(plan.experiment.title or name, wanted, measured).encode())
    return path


def _reproduction(plan: Plan) -> Reproduction:
    if plan.experiment.reproduction is None:
        raise UsageError(f"experiment {plan.experiment.name} has no published runs: it has no [reproduction] table")
    return plan.experiment.reproduction


def _configs(plan: Plan, run: PublishedRun, seeds: int) -> list[RunConfig]:
    return [plan.experiment.run_config(plan.corpus, {**run.set, "seed": seed}) for seed in range(seeds)]


def _without_seed(config: RunConfig) -> str:
    """A hash that is equal for configs that differ only in their seed."""
    return config.with_settings({"seed": 0}).hash


def _measured(plan: Plan, run: PublishedRun, done: Mapping[str, Sequence[Job]]) -> Measured:
    """Statistics over all finished seeds of a run. done: jobs by the hash of their config with seed 0."""
    config = plan.experiment.run_config(plan.corpus, {**run.set, "seed": 0})
    jobs = done.get(config.hash, [])
    results = [job.result or {} for job in jobs]
    for key in run.reported:
        for result in results:
            if key not in result:
                raise UsageError(f"published run {run.name!r} reports {key}, but results have {', '.join(result)}")
    values = {key: [_number(result[key]) for result in results] for key in run.reported}
    origins = {
        key: sorted({str(result[key]) for result in results if result.get(key)}) for key in ("device", "git_commit")
    }
    return Measured(
        run,
        seeds=len(jobs),
        steps=config.target_steps,
        means={key: statistics.fmean(found) for key, found in values.items() if found},
        deviations={key: statistics.stdev(found) for key, found in values.items() if len(found) > 1},
        seconds=sum(job.seconds for job in jobs),
        devices=origins["device"],
        commits=[commit[:12] for commit in origins["git_commit"]],
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
