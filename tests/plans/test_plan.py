"""A plan is made from an experiment and its corpus, and read from the table."""

import json
from pathlib import Path

import pytest

from rnnlab.errors import CorpusError, SpecError, UsageError
from rnnlab.files import sha256_hex
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import config_of, make_plan, only_experiment, stored_plan
from rnnlab.plans.rounds import advance
from rnnlab.queue.store import Store
from rnnlab.spec.settings import CorpusSettings
from tests.plans.examples import AXIS, by_place, finish, plan_of


def test_make_plan_finds_the_text(data_folder: Path, small_toml: str) -> None:
    plan = make_plan(plan_of(small_toml).experiment, None)
    assert plan.corpus.name == "generated"
    assert (data_folder / "corpora" / plan.corpus.sha256 / "text").is_file()


def test_make_plan_on_a_file(data_folder: Path, small_toml: str, tmp_path: Path) -> None:
    text = b"to be or not to be, " * 50
    (tmp_path / "hamlet.txt").write_bytes(text)
    plan = make_plan(plan_of(small_toml).experiment, str(tmp_path / "hamlet.txt"))
    assert plan.corpus == CorpusSettings(name="hamlet", sha256=sha256_hex(text))


def test_make_plan_insists_on_the_hash(data_folder: Path, small_toml: str, tmp_path: Path) -> None:
    path = tmp_path / "hamlet.txt"
    path.write_bytes(b"to be or not to be, " * 50)
    demanding = small_toml.replace('"generated"', f'{{ name = "{path}", sha256 = "{"0" * 64}" }}')
    with pytest.raises(CorpusError, match=r"is a different text here \(sha256 [0-9a-f]{12}, expected 000000000000\)"):
        make_plan(plan_of(demanding).experiment, None)
    # What the user says on the command line goes above what the file says.
    assert make_plan(plan_of(demanding).experiment, str(path)).corpus.name == "hamlet"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("window_length = 11", "window_length = 60"),
        ("set = { windows = 3 }", "set = { window_length = 60 }"),
        ("set = { state_size = 6 }", "set = { window_length = 60 }"),
        (f"window_length = 11|{AXIS}", f"|{AXIS}\nwindow_length = [11, 60]"),
    ],
)
def test_make_plan_refuses_a_text_too_short_for_a_window_of_any_round(
    data_folder: Path, small_toml: str, tmp_path: Path, old: str, new: str
) -> None:
    (tmp_path / "short.txt").write_bytes(b"x" * 1000)
    text = small_toml
    for part, replacement in zip(old.split("|"), new.split("|"), strict=True):
        text = text.replace(part, replacement)
    with pytest.raises(CorpusError) as caught:
        make_plan(plan_of(text).experiment, str(tmp_path / "short.txt"))
    assert str(caught.value).startswith(
        "corpus 'short' has 1,000 tokens and its validation split 50, but each split needs 60: use a text of at least"
    )
    assert make_plan(plan_of(small_toml).experiment, str(tmp_path / "short.txt"))


def test_make_plan_finds_illegal_points(data_folder: Path, small_toml: str) -> None:
    text = small_toml.replace("[grid]", "[[skip]]\nwhen = { n_layers = [1, 2] }\n[grid]")
    with pytest.raises(SpecError, match="the skip rules leave no run"):
        make_plan(plan_of(text).experiment, None)


def test_make_plan_without_the_text(data_folder: Path, small_toml: str) -> None:
    """Results from elsewhere need no text: its hash is known for public corpora, or where the experiment says it."""
    experiment = plan_of(small_toml.replace('"generated"', '"enwik8"')).experiment
    with pytest.raises(CorpusError, match=r"^corpus enwik8 is not on this machine: run `rnnlab data fetch enwik8`"):
        make_plan(experiment, None)
    assert make_plan(experiment, None, need_text=False).corpus.sha256.startswith("2b49720e")
    sha256 = "c" * 64
    named = plan_of(small_toml.replace('"generated"', f'{{ name = "mine", sha256 = "{sha256}" }}')).experiment
    assert make_plan(named, None, need_text=False).corpus == CorpusSettings(name="mine", sha256=sha256)
    other = plan_of(small_toml.replace('"generated"', f'{{ name = "enwik8", sha256 = "{sha256}" }}')).experiment
    assert make_plan(other, None, need_text=False).corpus.sha256 == sha256
    assert not data_folder.exists()


# Vocabularies

CHARACTERS = 'corpus = "generated"\ntokenizer = { kind = "characters" }'
PAIRS = 'corpus = "generated"\ntokenizer = { kind = "bpe", vocab_size = 300 }'


def learning(small_toml: str, tokenizer: str) -> str:
    return small_toml.replace('corpus = "generated"', tokenizer)


@pytest.mark.parametrize("tokenizer", [CHARACTERS, PAIRS])
def test_the_vocabulary_is_decided_at_init_and_kept_in_the_table(
    store: Store, data_folder: Path, small_toml: str, tokenizer: str
) -> None:
    plan = make_plan(plan_of(learning(small_toml, tokenizer)).experiment, None)
    assert plan.vocabulary is not None
    sha256 = sha256_hex(plan.vocabulary.encode())
    assert {config.tokenizer.vocabulary_sha256 for config in plan.first_round} == {sha256}
    assert initialize(store, plan).added == 4
    assert stored_plan(store, "small") == plan
    assert initialize(store, make_plan(plan_of(learning(small_toml, tokenizer)).experiment, None)).added == 0
    finish(store, by_place, "explore")
    assert advance(store, "small", enqueue=True).n_added == 4
    assert {config_of(job).tokenizer.vocabulary_sha256 for job in store.jobs()} == {sha256}
    assert stored_plan(store, "small") == plan


def test_nothing_learned_leaves_the_plan_as_it_ever_was(data_folder: Path, small_toml: str) -> None:
    plan = make_plan(plan_of(small_toml).experiment, None)
    assert plan.vocabulary is None
    assert json.loads(plan.json).keys() == {"experiment", "corpus"}
    assert json.loads(plan.json)["experiment"]["tokenizer"] == {"kind": "bytes"}


def test_another_tokenizer_is_another_protocol(store: Store, data_folder: Path, small_toml: str) -> None:
    initialize(store, make_plan(plan_of(learning(small_toml, PAIRS)).experiment, None))
    for other in (CHARACTERS, PAIRS.replace("300", "301"), 'corpus = "generated"'):
        plan = make_plan(plan_of(learning(small_toml, other)).experiment, None)
        with pytest.raises(SpecError, match=r'^experiment small was started with tokenizer = \{kind = "bpe", voc'):
            initialize(store, plan)


def test_a_file_that_insists_on_a_vocabulary(data_folder: Path, small_toml: str) -> None:
    text = learning(small_toml, PAIRS)
    plan = make_plan(plan_of(text).experiment, None)
    sha256 = plan.first_round[0].tokenizer.vocabulary_sha256
    insisting = text.replace("vocab_size = 300", f'vocab_size = 300, vocabulary = "{sha256}"')
    assert make_plan(plan_of(insisting).experiment, None) == plan
    with pytest.raises(SpecError, match=r"^tokenizer.vocabulary = .* gives vocabulary [0-9a-f]{64}: remove"):
        make_plan(plan_of(insisting.replace("= 300", "= 301")).experiment, None)


def test_a_vocabulary_needs_the_text(data_folder: Path, small_toml: str) -> None:
    experiment = plan_of(learning(small_toml, CHARACTERS).replace('"generated"', '"enwik8"')).experiment
    with pytest.raises(CorpusError, match=r"^corpus enwik8 is not on this machine"):
        make_plan(experiment, None, need_text=False)


# Selection of an experiment in the table


def test_only_experiment(store: Store, small_toml: str) -> None:
    with pytest.raises(UsageError, match=r"^this database has no experiments: run `rnnlab init` first$"):
        only_experiment(store, None)
    initialize(store, plan_of(small_toml))
    assert only_experiment(store, None) == only_experiment(store, "small") == "small"
    with pytest.raises(UsageError, match=r"^no experiment 'big' in this database: it has small$"):
        only_experiment(store, "big")
    initialize(store, plan_of(small_toml.replace('"small"', '"other"')))
    with pytest.raises(UsageError, match=r"^this database has several experiments: name one of other, small$"):
        only_experiment(store, None)
    with pytest.raises(UsageError, match=r"^no experiment 'big' in this database: it has other, small; `rnnlab init`"):
        stored_plan(store, "big")
