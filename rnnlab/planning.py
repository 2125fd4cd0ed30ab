"""From experiment files to jobs in the table, and from finished rounds to the next ones."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlab.data.corpus import Corpus, keep, read_bytes, resolve
from rnnlab.data.registry import PUBLIC
from rnnlab.data.splits import Fractions, check_sizes
from rnnlab.errors import CorpusError, SpecError, UsageError
from rnnlab.files import sha256_hex
from rnnlab.queue.job import Job, NewJob, Status
from rnnlab.queue.reading import Reader
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import FIRST_ROUND, CorpusChoice, Experiment, Selection, parse_experiment
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.protocol import check_round, check_values
from rnnlab.spec.rounds import FinishedRun, RoundPlan, plan_round
from rnnlab.spec.run_config import RunConfig, run_config_from_json
from rnnlab.spec.settings import CorpusSettings, LearnedVocabulary
from rnnlab.spec.spelling import shown

if TYPE_CHECKING:
    from rnnlab.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class Plan:
    """An experiment on a corpus that was found."""

    experiment: Experiment
    corpus: CorpusSettings
    vocabulary: str | None = None  # what the tokenizer learned from the corpus; None where it learns nothing
    stored: str | None = field(default=None, compare=False)  # what the table had of the experiment; None: nothing

    @property
    def json(self) -> str:
        """What the table keeps, so that workers and analysis need no file."""
        without = set() if self.experiment.code else {"code"}
        document: dict[str, Any] = {
            "experiment": self.experiment.model_dump(mode="json", exclude=without),
            "corpus": self.corpus.model_dump(),
        }
        if self.vocabulary is not None:
            document["vocabulary"] = self.vocabulary
        return json.dumps(document, sort_keys=True)

    @cached_property
    def first_round(self) -> list[RunConfig]:
        """The run configs of the grid. Raises SpecError if there is none."""
        return enumerate_configs(self.experiment, self.corpus)

    def instead_of(self, stored: str) -> "Plan":
        """The same plan, for a table that has `stored` of the experiment."""
        plan = replace(self, stored=stored)
        plan.__dict__["first_round"] = self.first_round  # enumerating a large grid takes seconds
        return plan


def make_plan(
    experiment: Experiment, corpus: str | None, *, need_text: bool = True, folder: Path | None = None
) -> Plan:
    """The experiment on its own corpus, or on `corpus`, a registered name or a file: all that can be wrong is found.

    The vocabulary of its tokenizer is decided here: the experiment of the plan names it by its hash. The text of a file
    is stored when jobs are added, not before.

    folder: of the experiment file, where the file of its own corpus is looked for beside the working directory.
    Without `need_text`, a corpus whose hash is known, from the experiment or as a public one, need not be here, unless
    a vocabulary is made from it.
    Raises CorpusError if there is no such corpus, if it has other contents than the experiment names, or is too short;
    UsageError if the tokenizer cannot be made from it; SpecError if it has another vocabulary than the experiment
    names, if the grid gives no runs, or settings that do not go together.
    """
    wanted = experiment.corpus if corpus is None else CorpusChoice(name=corpus)
    known = wanted.sha256 or (PUBLIC[wanted.name].sha256 if wanted.name in PUBLIC else None)
    learns = isinstance(experiment.tokenizer, LearnedVocabulary)
    if known is not None and not (need_text or learns):
        plan = Plan(experiment, CorpusSettings(name=wanted.name, sha256=known))
    else:
        beside = folder if corpus is None else None
        found = resolve(wanted.name, expected_sha256=wanted.sha256, store=False, folder=beside)
        plan = Plan(experiment, CorpusSettings(name=found.name, sha256=found.sha256))
        if need_text or learns:
            plan, tokenizer = _with_tokenizer(plan, found)
            _check_length(plan, found, tokenizer)
    assert plan.first_round
    return plan


def _with_tokenizer(plan: Plan, corpus: Corpus) -> "tuple[Plan, Tokenizer]":
    """The tokenizer for this corpus, and the plan with what it learned."""
    from rnnlab.data.tokenizer import learn_tokenizer  # numpy: `rnnlab status` need not wait for it

    settings, shares = plan.experiment.tokenizer, Fractions(**plan.experiment.split.model_dump())
    options = settings.model_dump(exclude={"kind", "vocabulary"})
    tokenizer = learn_tokenizer(settings.kind, read_bytes(corpus), shares, options)
    if tokenizer.vocabulary is None or not isinstance(settings, LearnedVocabulary):
        return plan, tokenizer
    found = sha256_hex(tokenizer.vocabulary.encode())
    if settings.vocabulary not in (None, found):
        raise SpecError(
            f"tokenizer.vocabulary = {shown(settings.vocabulary)}: from corpus {plan.corpus.name} and these settings "
            f"comes vocabulary {found}: leave the key out, or give the text, split and settings that it was made from"
        )
    decided = plan.experiment.model_copy(update={"tokenizer": settings.model_copy(update={"vocabulary": found})})
    return Plan(decided, plan.corpus, tokenizer.vocabulary), tokenizer


# Settings that say how long a window is -> symbols that it covers beyond that: the last target.
_LENGTHS = {"window_length": 0, "block_size": 1}


def _check_length(plan: Plan, corpus: Corpus, tokenizer: "Tokenizer") -> None:
    """Raises CorpusError if a window of any round, or all windows of a run of the first, do not fit into a split."""
    from rnnlab.data.tokenizer import encoded_splits

    experiment = plan.experiment
    tables = [experiment.training, *(rule.set for rule in experiment.rounds)]
    tables += [variant.set for rule in experiment.rounds for variant in rule.vary]
    uses = [*experiment.grid.items(), *((name, [value]) for table in tables for name, value in table.items())]
    spans = [int(value) + _LENGTHS[name] for name, values in uses if name in _LENGTHS for value in values]
    shares = Fractions(**experiment.split.model_dump())
    splits = encoded_splits(read_bytes(corpus), tokenizer, shares, corpus.name)
    check_sizes(splits, shares, need=max(spans), corpus=corpus.name)
    needed = max(config.training.train_tokens_needed for config in plan.first_round)
    if needed > len(splits.train):
        raise CorpusError(
            f"corpus {corpus.name!r}: the windows of an epoch need {needed:,} tokens, but the training split has "
            f"{len(splits.train):,}: give fewer epoch_windows, a smaller block_size or a longer text"
        )


def stored_plan(store: Reader, name: str) -> Plan:
    """The plan that `rnnlab init` stored. Raises UsageError if the table has no such experiment."""
    stored = store.experiment(name)
    if stored is None:
        known = ", ".join(store.experiment_names()) or "none"
        raise UsageError(f"no experiment {name!r} in this database: it has {known}; `rnnlab init` adds one")
    document = json.loads(stored)
    return Plan(
        parse_experiment(document["experiment"], f"experiment {name} in the database"),
        CorpusSettings.model_validate(document["corpus"]),
        document.get("vocabulary"),
        stored,
    )


def only_experiment(store: Reader, name: str | None) -> str:
    """`name`, or the one experiment of the table where none is named. Raises UsageError if there is no telling."""
    names = store.experiment_names()
    if name is not None:
        if name not in names:
            raise UsageError(f"no experiment {name!r} in this database: it has {', '.join(names) or 'none'}")
        return name
    if len(names) != 1:
        raise UsageError(f"name an experiment: this database has {', '.join(names) or 'none; run `rnnlab init` first'}")
    return names[0]


def new_jobs(configs: Iterable[RunConfig]) -> list[NewJob]:
    """Run configs as the table wants them."""
    return [NewJob(config.hash, config.canonical_json, config.group_key, config.target_steps) for config in configs]


@dataclass(frozen=True)
class Initialised:
    """What `initialise` did."""

    experiment: str  # its name in the table
    added: int  # jobs that were not in the table before
    total: int  # jobs of the grid
    left_over: int  # jobs of the table's first round that the grid no longer names; they stay
    own_cells: bool = False  # whether workers need --allow-code


def initialise(store: Store, plan: Plan) -> Initialised:
    """Enumerate the grid into the table; what is there already stays as it is.

    Raises SpecError if the experiment in the table has another corpus or another protocol, ExperimentChangedError if
    somebody else puts it there in the same moment.
    """
    plan = to_be_added(store, plan)
    name = plan.experiment.name
    jobs = new_jobs(plan.first_round)
    added = store.add_jobs(name, plan.json, FIRST_ROUND, jobs, instead_of=plan.stored)
    hashes = {job.config_hash for job in jobs}
    left_over = len(store.statuses(name, FIRST_ROUND).keys() - hashes)
    return Initialised(name, added, len(jobs), left_over, bool(plan.experiment.code))


def to_be_added(store: Reader, new: Plan) -> Plan:
    """`continuing`, for a plan whose jobs come into the table now: their text is stored. Raises CorpusError too."""
    plan = continuing(store, new)
    keep(plan.corpus.sha256)
    return plan


def continuing(store: Reader, new: Plan) -> Plan:
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


@dataclass(frozen=True)
class RoundState:
    """How far one round is."""

    name: str
    expected: int  # jobs that the round consists of
    done: int
    failed: int
    missing: int  # not in the table at all
    paused: int = 0
    cancelled: int = 0

    @property
    def complete(self) -> bool:
        """Whether every job is done or was given up. A round without results is not: nothing could follow from it."""
        return self.done + self.cancelled == self.expected and self.done > 0


@dataclass(frozen=True)
class Progression:
    """The rounds that there can be so far, and the one that was added to the table or could be, if any."""

    rounds: list[RoundState]
    added: RoundPlan | None
    n_added: int
    lacking: list[RunConfig] = field(default_factory=list)  # those of `added` that the table did not have before
    own_cells: bool = False  # whether workers need --allow-code


def advance(store: Store, name: str, *, enqueue: bool) -> Progression:
    """Follow the rounds up to the first that is not complete; with `enqueue`, add what it lacks to the table.

    Round by round the rules are applied to the finished results, so the outcome does not depend on who asks or how
    often. The first round is added by `initialise` alone. Raises SpecError if a rule gives an illegal config,
    UsageError if a result lacks what a rule selects by.
    """
    plan = stored_plan(store, name)
    states: list[RoundState] = []
    configs: Sequence[RunConfig] = plan.first_round
    round_plan: RoundPlan | None = None
    for index, round_name in enumerate(plan.experiment.round_names):
        if index > 0:
            rule = plan.experiment.rounds[index - 1]
            before = store.jobs(name, plan.experiment.round_names[index - 1], Status.DONE)
            round_plan = plan_round(rule, _finished_runs(before, {c.hash for c in configs}, rule.select))
            configs = round_plan.configs
        statuses = store.statuses(name, round_name)
        state = _round_state(round_name, configs, statuses)
        n_added = 0
        if state.missing and round_plan is not None and enqueue:
            n_added = store.add_jobs(name, plan.json, round_name, new_jobs(configs), instead_of=plan.stored)
        states.append(state)
        if not state.complete:
            lacking = [] if round_plan is None else [config for config in configs if config.hash not in statuses]
            own_cells = bool(plan.experiment.code)
            return Progression(states, round_plan if state.missing else None, n_added, lacking, own_cells)
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
    """The number that a selection compares; None where a run diverged."""
    if key not in result:
        found = f"job {job.id} has only {', '.join(result)}"
    else:
        value = result[key]
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        found = f"that of job {job.id} is {shown(value)}, no number"
    raise UsageError(
        f"the next round selects by {key!r}, but {found}: change the experiment file, then `rnnlab init` it again"
    )


def _cost(job: Job, result: Mapping[str, Any], pareto: str | None) -> float:
    """What a Pareto selection weighs against the result. Imported results may lack it: nothing is to be had for 0."""
    if pareto is None:
        return 0.0
    cost = job.seconds if pareto == "seconds" else result.get(pareto)
    if not isinstance(cost, int | float) or isinstance(cost, bool) or not 0 < cost < math.inf:
        raise UsageError(
            f"the next round selects by {pareto}, but job {job.id} has none: import the results with a column "
            f"{pareto!r}, or change the experiment file, then `rnnlab init` it again"
        )
    return float(cost)


def config_of(job: Job) -> RunConfig:
    """The run config of a job. Raises SpecError if a newer rnnlab wrote a setting that this one does not know."""
    return run_config_from_json(job.payload)
