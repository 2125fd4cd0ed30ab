"""Follows the rounds of an experiment and adds the next one when a round is finished."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnlab.errors import UsageError
from rnnlab.plans.enqueue import new_jobs
from rnnlab.plans.plan import config_of, stored_plan
from rnnlab.queue.job import Job, Status
from rnnlab.queue.store import Store
from rnnlab.spec.experiment_tables import Selection
from rnnlab.spec.round_rules import FinishedRun, RoundPlan, plan_round
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.toml_format import abbreviated


@dataclass(frozen=True)
class RoundState:
    """The progress of one round."""

    name: str
    expected: int  # jobs of the round
    done: int
    failed: int
    missing: int  # jobs of the round that are not in the table
    paused: int = 0
    cancelled: int = 0

    @property
    def complete(self) -> bool:
        """Whether every job is done or cancelled, and at least one is done: without results, no round can follow."""
        return self.done + self.cancelled == self.expected and self.done > 0


@dataclass(frozen=True)
class Progression:
    """The rounds that are determined so far, and the round that was or can be added to the table, if any."""

    rounds: list[RoundState]
    added: RoundPlan | None
    n_added: int
    missing_configs: list[RunConfig] = field(default_factory=list)  # configs of `added` not in the table before
    own_cells: bool = False  # whether workers need --allow-code


def advance(store: Store, name: str, *, enqueue: bool) -> Progression:
    """Follow the rounds up to the first incomplete one. enqueue: add the missing jobs of that round to the table.

    The rules are applied to the finished results, round by round. The outcome is the same no matter which process calls
    this, or how often. Only `initialize` adds the first round. Raises SpecError if a rule gives an illegal config,
    UsageError if a result does not contain the metric that a rule selects by.
    """
    plan = stored_plan(store, name)
    states: list[RoundState] = []
    configs: Sequence[RunConfig] = plan.first_round
    round_plan: RoundPlan | None = None
    for index, round_name in enumerate(plan.experiment.round_names):
        if index > 0:
            rule = plan.experiment.rounds[index - 1]
            previous = store.jobs(name, plan.experiment.round_names[index - 1], Status.DONE)
            round_plan = plan_round(rule, _finished_runs(previous, {c.hash for c in configs}, rule.select))
            configs = round_plan.configs
        statuses = store.statuses(name, round_name)
        state = _round_state(round_name, configs, statuses)
        n_added = 0
        if state.missing and round_plan is not None and enqueue:
            n_added = store.add_jobs(name, plan.json, round_name, new_jobs(configs), instead_of=plan.stored)
        states.append(state)
        if not state.complete:
            missing = [] if round_plan is None else [config for config in configs if config.hash not in statuses]
            own_cells = bool(plan.experiment.code)
            return Progression(states, round_plan if state.missing else None, n_added, missing, own_cells)
    return Progression(states, None, 0)


def _round_state(name: str, configs: Sequence[RunConfig], by_hash: Mapping[str, Status]) -> RoundState:
    statuses = [by_hash.get(config.hash) for config in configs]
    return RoundState(
        name,
        expected=len(configs),
        done=statuses.count(Status.DONE),
        failed=statuses.count(Status.FAILED),
        missing=statuses.count(None),
        paused=statuses.count(Status.PAUSED),
        cancelled=statuses.count(Status.CANCELLED),
    )


def _finished_runs(jobs: Iterable[Job], wanted: set[str], select: Selection) -> list[FinishedRun]:
    runs = []
    for job in jobs:
        if job.config_hash in wanted and job.result is not None:
            value = _selected_by(job, job.result, select.by)
            if value is None or job.result.get("diverged_at_step") is not None:
                runs.append(FinishedRun(config_of(job), math.nan, 0.0))
            else:
                runs.append(FinishedRun(config_of(job), value, _cost(job, job.result, select.pareto)))
    return runs


def _selected_by(job: Job, result: Mapping[str, Any], key: str) -> float | None:
    """The value that a selection compares; None for a diverged run."""
    if key not in result:
        found = f"job {job.id} has only {', '.join(result)}"
    else:
        value = result[key]
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        found = f"its value in job {job.id} is {abbreviated(value)}, which is not a number"
    raise UsageError(
        f"the next round selects by {key!r}, but {found}: change the experiment file, then run `rnnlab init` again"
    )


def _cost(job: Job, result: Mapping[str, Any], pareto: str | None) -> float:
    """The second objective of a Pareto selection; 0 without one. Imported results may lack it, which is an error."""
    if pareto is None:
        return 0.0
    cost = job.seconds if pareto == "seconds" else result.get(pareto)
    if not isinstance(cost, int | float) or isinstance(cost, bool) or not 0 < cost < math.inf:
        raise UsageError(
            f"the next round selects by {pareto}, but job {job.id} has no such value: import the results with a column "
            f"{pareto!r}, or change the experiment file, then run `rnnlab init` again"
        )
    return float(cost)
