"""A plan: an experiment together with its corpus and vocabulary, made from a file or read from the table."""

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
from rnnlab.queue.reader import Reader
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
    """An experiment on an identified corpus."""

    experiment: Experiment
    corpus: CorpusSettings
    vocabulary: str | None = None  # vocabulary learned from the corpus; None for a fixed vocabulary
    stored: str | None = field(default=None, compare=False)  # JSON of the experiment in the table; None: not there

    @property
    def json(self) -> str:
        """The JSON stored in the table. Workers and the analysis use it instead of the experiment file."""
        # Left out while empty: earlier versions do not know them.
        without: dict[str, Any] = {} if self.experiment.code else {"code": True}
        if not self.experiment.analysis.about:
            without["analysis"] = {"about"}
        document: dict[str, Any] = {
            "experiment": self.experiment.model_dump(mode="json", exclude=without),
            "corpus": self.corpus.model_dump(),
        }
        if self.vocabulary is not None:
            document["vocabulary"] = self.vocabulary
        return json.dumps(document, sort_keys=True)

    @cached_property
    def first_round(self) -> list[RunConfig]:
        """The run configs of the grid. Raises SpecError if there are none."""
        return enumerate_configs(self.experiment, self.corpus)

    def instead_of(self, stored: str) -> "Plan":
        """The same plan, for a table in which the experiment is stored as `stored`."""
        plan = replace(self, stored=stored)
        plan.__dict__["first_round"] = self.first_round  # enumerating a large grid takes seconds
        return plan


def make_plan(
    experiment: Experiment, corpus: str | None, *, need_text: bool = True, folder: Path | None = None
) -> Plan:
    """Plan an experiment on its own corpus or on `corpus`, a registered name or a file, and validate it completely.

    This function also learns the vocabulary of the tokenizer; the experiment of the plan contains its hash. The text of
    a file is stored only when jobs are added.

    folder: folder of the experiment file, searched for the experiment's own corpus in addition to the working
    directory. need_text: if False, a corpus whose hash is known, from the experiment or because it is public, need not
    be on this machine, unless a vocabulary is learned from it.
    Raises CorpusError if the corpus does not exist, has another hash than the experiment requires, or is too short;
    UsageError if the tokenizer cannot be made from it; SpecError if its vocabulary is not the one that the experiment
    requires, if the grid has no runs, or if settings are incompatible.
    """
    wanted = experiment.corpus if corpus is None else CorpusChoice(name=corpus)
    known = wanted.sha256 or (PUBLIC[wanted.name].sha256 if wanted.name in PUBLIC else None)
    learns = isinstance(experiment.tokenizer, LearnedVocabulary)
    if known is not None and not (need_text or learns):
        plan = Plan(experiment, CorpusSettings(name=wanted.name, sha256=known))
    else:
        search_folder = folder if corpus is None else None
        found = resolve(wanted.name, expected_sha256=wanted.sha256, store=False, folder=search_folder)
        plan = Plan(experiment, CorpusSettings(name=found.name, sha256=found.sha256))
        if need_text or learns:
            plan, tokenizer = _with_tokenizer(plan, found)
            _check_length(plan, found, tokenizer)
    assert plan.first_round
    return plan


def _with_tokenizer(plan: Plan, corpus: Corpus) -> "tuple[Plan, Tokenizer]":
    """The plan with the learned vocabulary, and the tokenizer."""
    from rnnlab.data.tokenizer import learn_tokenizer  # imports numpy, which `rnnlab status` does not need

    settings, shares = plan.experiment.tokenizer, Fractions(**plan.experiment.split.model_dump())
    options = settings.model_dump(exclude={"kind", "vocabulary"})
    tokenizer = learn_tokenizer(settings.kind, read_bytes(corpus), shares, options)
    if tokenizer.vocabulary is None or not isinstance(settings, LearnedVocabulary):
        return plan, tokenizer
    found = sha256_hex(tokenizer.vocabulary.encode())
    if settings.vocabulary not in (None, found):
        raise SpecError(
            f"tokenizer.vocabulary = {abbreviated(settings.vocabulary)}: corpus {plan.corpus.name} with these settings "
            f"gives vocabulary {found}: remove the key, or use the text, split and settings of that vocabulary"
        )
    decided = plan.experiment.model_copy(update={"tokenizer": settings.model_copy(update={"vocabulary": found})})
    return Plan(decided, plan.corpus, tokenizer.vocabulary), tokenizer


# Settings for the length of a window -> additional symbols that the window covers: the last target.
_LENGTHS = {"window_length": 0, "block_size": 1}


def _check_length(plan: Plan, corpus: Corpus, tokenizer: "Tokenizer") -> None:
    """Raises CorpusError if a window of any round, or all windows of a run of the first, do not fit in a split."""
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
            f"{len(splits.train):,}: use fewer epoch_windows, a smaller block_size or a longer text"
        )


def stored_plan(store: Reader, name: str) -> Plan:
    """The plan stored by `rnnlab init`. Raises UsageError if the table has no experiment of this name."""
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
    """`name`; without a name, the only experiment in the table. Raises UsageError if the choice is not unique."""
    names = store.experiment_names()
    if name is not None:
        if name not in names:
            raise UsageError(f"no experiment {name!r} in this database: it has {', '.join(names) or 'none'}")
        return name
    if not names:
        raise UsageError("this database has no experiments: run `rnnlab init` first")
    if len(names) > 1:
        raise UsageError(f"this database has several experiments: name one of {', '.join(names)}")
    return names[0]


def config_of(job: Job) -> RunConfig:
    """The run config of a job. Raises SpecError for a setting of a newer rnnlab that this version does not know."""
    return run_config_from_json(job.payload)
