"""The next round and its expected cost."""

from dataclasses import dataclass

from rnnlab.actions.status import live_workers
from rnnlab.cost.history import Cost, MeasuredSpeed, cost_of
from rnnlab.plans.enqueue import new_jobs
from rnnlab.plans.rounds import Progression
from rnnlab.queue.store import Store
from rnnlab.spec.round_rules import RoundPlan


@dataclass(frozen=True)
class NextRound:
    """A round that can be added to the table."""

    plan: RoundPlan
    cost: Cost  # of the jobs that the table lacks
    workers: int  # live workers, which share the work; at least 1


def next_round(store: Store, name: str, progression: Progression) -> NextRound | None:
    """The round that the progression of experiment `name` added or can add, if any."""
    if progression.added is None:
        return None
    cost = cost_of(new_jobs(progression.missing_configs), MeasuredSpeed(store.progress(name)))
    return NextRound(progression.added, cost, max(1, live_workers(store)))
