"""The jobs of a plan into the table, beside what the table has of the experiment already."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from rnnlab.data.corpus import keep
from rnnlab.errors import SpecError
from rnnlab.plans.plan import Plan, stored_plan
from rnnlab.queue.job import NewJob
from rnnlab.queue.reading import Reader
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import FIRST_ROUND
from rnnlab.spec.protocol import check_round, check_values
from rnnlab.spec.run_config import RunConfig


def new_jobs(configs: Iterable[RunConfig]) -> list[NewJob]:
    """Run configs as the table wants them."""
    return [NewJob(config.hash, config.canonical_json, config.group_key, config.target_steps) for config in configs]


@dataclass(frozen=True)
class Initialized:
    """What `initialize` did."""

    experiment: str  # its name in the table
    added: int  # jobs that were not in the table before
    total: int  # jobs of the grid
    left_over: int  # jobs of the table's first round that the grid no longer names; they stay
    own_cells: bool = False  # whether workers need --allow-code


def initialize(store: Store, plan: Plan) -> Initialized:
    """Enumerate the grid into the table; what is there already stays as it is.

    Raises SpecError if the experiment in the table has another corpus or another protocol, ExperimentChangedError if
    somebody else puts it there in the same moment.
    """
    plan = prepare_to_enqueue(store, plan)
    name = plan.experiment.name
    jobs = new_jobs(plan.first_round)
    added = store.add_jobs(name, plan.json, FIRST_ROUND, jobs, instead_of=plan.stored)
    hashes = {job.config_hash for job in jobs}
    left_over = len(store.statuses(name, FIRST_ROUND).keys() - hashes)
    return Initialized(name, added, len(jobs), left_over, bool(plan.experiment.code))


def prepare_to_enqueue(store: Reader, new: Plan) -> Plan:
    """`continuing`, for a plan whose jobs come into the table now: their text is stored. Raises CorpusError too."""
    plan = merge_with_stored(store, new)
    keep(plan.corpus.sha256)
    return plan


def merge_with_stored(store: Reader, new: Plan) -> Plan:
    """The plan, to be added to what the table has of this experiment.

    A grid may grow; what its runs have in common must stay, or the runs could not be compared. The text keeps the name
    that it has in the table, which is in the runs' hashes: it may have another one on another machine.

    Raises SpecError if the table has an experiment of that name with another text or another protocol.
    """
    name = new.experiment.name
    stored = store.experiment(name)
    if stored is None:
        return new
    old = stored_plan(store, name)
    advice = f"give the experiment another name, or use another database (--db), or go back to what {name} had"
    if old.corpus.sha256 != new.corpus.sha256:
        raise SpecError(
            f"experiment {name} was started on corpus {old.corpus.name} ({old.corpus.sha256[:12]}), not on "
            f"{new.corpus.name} ({new.corpus.sha256[:12]}): {advice}"
        )
    if old == new:
        return new.instead_of(stored)
    check_values(f"experiment {name}", _protocol(old), _protocol(new), advice)
    begun = {round_name for _, round_name, _ in store.counts(name)}
    later = {rule.name: rule for rule in new.experiment.rounds}
    for rule in old.experiment.rounds:
        if rule.name in begun and rule.name in later:
            check_round(rule, later[rule.name])
    # Jobs of cells that the grid no longer names stay in the table, and need their code.
    experiment = new.experiment.model_copy(update={"code": old.experiment.code | new.experiment.code})
    return replace(new, experiment=experiment, corpus=old.corpus, stored=stored)


def _protocol(plan: Plan) -> dict[str, list[Any]]:
    """Every setting of the first round's runs, defaults included -> the values that it takes."""
    protocol: dict[str, dict[str, Any]] = {}  # the values by their spelling: a list of many would be slow to search
    for config in plan.first_round:
        shared = {key: getattr(config, key).model_dump() for key in ("tokenizer", "split", "evaluation")}
        for key, value in {**shared, **config.settings}.items():
            protocol.setdefault(key, {}).setdefault(repr(value), value)
    return {key: list(values.values()) for key, values in protocol.items()}
