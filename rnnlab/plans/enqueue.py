"""Adds the jobs of a plan to the table, which may already contain jobs of the experiment."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from rnnlab.data.corpus import keep
from rnnlab.errors import SpecError
from rnnlab.plans.plan import Plan, stored_plan
from rnnlab.queue.job import NewJob
from rnnlab.queue.reader import Reader
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import FIRST_ROUND
from rnnlab.spec.protocol import check_round, check_values
from rnnlab.spec.run_config import RunConfig


def new_jobs(configs: Iterable[RunConfig]) -> list[NewJob]:
    """Run configs as jobs to be added to the table."""
    return [NewJob(config.hash, config.canonical_json, config.group_key, config.target_steps) for config in configs]


@dataclass(frozen=True)
class Initialized:
    """The outcome of `initialize`."""

    experiment: str  # its name in the table
    added: int  # jobs that were not in the table before
    total: int  # jobs of the grid
    left_over: int  # jobs of the first round in the table that are no longer in the grid; they are kept
    own_cells: bool = False  # whether workers need --allow-code


def initialize(store: Store, plan: Plan) -> Initialized:
    """Add the jobs of the grid to the table. Existing jobs are not changed.

    Raises SpecError if the experiment in the table has another corpus or another protocol, ExperimentChangedError if
    another process adds or changes the experiment at the same time.
    """
    plan = prepare_to_enqueue(store, plan)
    name = plan.experiment.name
    jobs = new_jobs(plan.first_round)
    added = store.add_jobs(name, plan.json, FIRST_ROUND, jobs, instead_of=plan.stored)
    hashes = {job.config_hash for job in jobs}
    left_over = len(store.statuses(name, FIRST_ROUND).keys() - hashes)
    return Initialized(name, added, len(jobs), left_over, bool(plan.experiment.code))


def prepare_to_enqueue(store: Reader, new: Plan) -> Plan:
    """Merge the plan with the table as `merge_with_stored` does, and store its text. Also raises CorpusError."""
    plan = merge_with_stored(store, new)
    keep(plan.corpus.sha256)
    return plan


def merge_with_stored(store: Reader, new: Plan) -> Plan:
    """The plan, adapted to the experiment of the same name in the table, if there is one.

    A grid may grow, but the settings that its runs share must stay the same, so that all runs remain comparable. The
    text keeps its name in the table, which is part of the hashes of the runs, even if this machine knows the text by
    another name.

    Raises SpecError if the table has an experiment of this name with another text or another protocol.
    """
    name = new.experiment.name
    stored = store.experiment(name)
    if stored is None:
        return new
    old = stored_plan(store, name)
    advice = f"rename the experiment, use another database (--db), or restore the settings of {name}"
    if old.corpus.sha256 != new.corpus.sha256:
        raise SpecError(
            f"experiment {name} was started with corpus {old.corpus.name} ({old.corpus.sha256[:12]}), not with "
            f"{new.corpus.name} ({new.corpus.sha256[:12]}): {advice}"
        )
    if old == new:
        return new.instead_of(stored)
    check_values(f"experiment {name}", _protocol(old), _protocol(new), advice)
    started = {round_name for _, round_name, _ in store.counts(name)}
    later = {rule.name: rule for rule in new.experiment.rounds}
    for rule in old.experiment.rounds:
        if rule.name in started and rule.name in later:
            check_round(rule, later[rule.name])
    # Jobs whose cells are no longer in the grid stay in the table and need their code.
    experiment = new.experiment.model_copy(update={"code": old.experiment.code | new.experiment.code})
    return replace(new, experiment=experiment, corpus=old.corpus, stored=stored)


def _protocol(plan: Plan) -> dict[str, list[Any]]:
    """Every setting of the first round's runs, including defaults -> its values."""
    protocol: dict[str, dict[str, Any]] = {}  # values by their repr: searching a long list would be slow
    for config in plan.first_round:
        shared = {key: getattr(config, key).model_dump() for key in ("tokenizer", "split", "evaluation")}
        for key, value in {**shared, **config.settings}.items():
            protocol.setdefault(key, {}).setdefault(repr(value), value)
    return {key: list(values.values()) for key, values in protocol.items()}
