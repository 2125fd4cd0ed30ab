"""From experiment files to jobs in the table, and from finished rounds to the next ones."""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnlab.data.corpus import Corpus, read_bytes, resolve
from rnnlab.data.known_corpora import PUBLIC
from rnnlab.data.splits import Fractions, check_sizes
from rnnlab.errors import CorpusError, SpecError, UsageError
from rnnlab.files import sha256_hex
from rnnlab.queue.job import Job
from rnnlab.queue.reading import Reader
from rnnlab.spec.experiment import Experiment, parse_experiment
from rnnlab.spec.experiment_tables import CorpusChoice
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.run_config import RunConfig, run_config_from_json
from rnnlab.spec.settings import CorpusSettings, LearnedVocabulary
from rnnlab.spec.toml_format import abbreviated

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
            f"tokenizer.vocabulary = {abbreviated(settings.vocabulary)}: from corpus {plan.corpus.name} and these settings "
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


def config_of(job: Job) -> RunConfig:
    """The run config of a job. Raises SpecError if a newer rnnlab wrote a setting that this one does not know."""
    return run_config_from_json(job.payload)
