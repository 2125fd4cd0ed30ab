"""From experiments to jobs in the table, and from finished rounds to the next ones."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rnnlab.errors import CorpusError, RnnlabError, SpecError, UsageError
from rnnlab.files import sha256_hex
from rnnlab.plans.enqueue import Initialized, initialize, new_jobs
from rnnlab.plans.plan import Plan, config_of, make_plan, only_experiment, stored_plan
from rnnlab.plans.rounds import RoundState, advance
from rnnlab.queue.job import Curve, Job, Status, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.settings import CorpusSettings
from tests.support.store import fail_for_good

AXIS = "n_layers = [1, 2]"


def plan_of(text: str, letter: str = "a") -> Plan:
    """The experiment on a text that need not be here."""
    corpus = CorpusSettings(name=f"text-{letter}", sha256=letter * 64)
    return Plan(parse_experiment(tomllib.loads(text), "x.toml"), corpus)


def rows(store: Store) -> dict[int, Job]:
    return {job.id: job for job in store.jobs()}


def finish(store: Store, result_of: Callable[[Job], Mapping[str, Any] | None], round_name: str) -> None:
    """End every pending job of a round with this result, or as failed where that is None."""
    worker = f"worker-{len(store.workers())}"
    now = store.clock()
    store.register_worker(WorkerRecord(worker, "here", "", 1, "cpu", "/nowhere", now, now, now + 60, None))
    claimed: list[Job] = []
    while some := store.claim(worker, 1000):
        claimed += some
    for job in claimed:
        result = result_of(job)
        if job.round != round_name:
            store.release([job.claim])
        elif result is None:
            fail_for_good(store, job.claim, "Traceback: no luck")
        else:
            store.finish(job.claim, result, 1.0, Curve())
    store.stop_worker(worker)


def by_place(job: Job) -> dict[str, Any]:
    """A result that makes earlier jobs better ones."""
    return {"min_loss": 1.0 + job.id / 1000, "diverged_at_step": None}


# init


def test_init_adds_the_grid_once(store: Store, small_toml: str) -> None:
    plan = plan_of(small_toml)
    assert initialize(store, plan) == Initialized("small", added=4, total=4, left_over=0)
    before = rows(store)
    assert initialize(store, plan) == Initialized("small", added=0, total=4, left_over=0)
    assert rows(store) == before
    assert {config_of(job).hash for job in before.values()} == {run.hash for run in plan.first_round}
    assert {(job.experiment, job.round, job.status) for job in before.values()} == {
        ("small", "explore", Status.PENDING)
    }


def test_the_table_gives_the_plan_back(store: Store, small_toml: str) -> None:
    plan = plan_of(small_toml)
    initialize(store, plan)
    assert stored_plan(store, "small") == plan


def test_a_grown_grid_adds_what_is_new(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    before = rows(store)
    grown = small_toml.replace(AXIS, "n_layers = [1, 2, 3]\nuse_old_state = [false, true]")
    assert initialize(store, plan_of(grown)) == Initialized("small", added=8, total=12, left_over=0)
    assert before.items() <= rows(store).items()


def test_a_shrunk_grid_keeps_the_jobs(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    before = rows(store)
    shrunk = plan_of(small_toml.replace(AXIS, "n_layers = [2]"))
    assert initialize(store, shrunk) == Initialized("small", added=0, total=2, left_over=2)
    assert rows(store) == before
    # The round now consists of what the grid names.
    assert advance(store, "small", enqueue=False).rounds[0].expected == 2


ACCEPTED = [
    (AXIS, f"{AXIS}\nuse_input_gate = [false, true]"),  # a default becomes an axis
    ("learning_rate = 1e-3", "learning_rate = 0.0010"),
    ("state_size = 4", "state_size = 4\nuse_residual = true"),  # a default is spelled out
    ("seed = 0", "seed = 0\nevaluation = { windows = 64 }"),
    (AXIS, f"{AXIS}\nseed = [0, 1]"),
    (f"state_size = 4\n\n[training]|{AXIS}", f"[training]|{AXIS}\nstate_size = [2, 4]"),  # a fixed value, an axis
    (f"[training]|{AXIS}", "n_layers = 2\n[training]|"),  # and back
    ("best_fraction = 0.5", "best_fraction = 0.9"),  # the rules of later rounds are free
    ("seeds = 3", "seeds = 5"),
]


@pytest.mark.parametrize(("old", "new"), ACCEPTED, ids=[new for _, new in ACCEPTED])
def test_accepted_changes(store: Store, small_toml: str, old: str, new: str) -> None:
    initialize(store, plan_of(small_toml))
    before = rows(store)
    text = small_toml
    for part, replacement in zip(old.split("|"), new.split("|"), strict=True):
        assert part in text
        text = text.replace(part, replacement, 1)
    plan = plan_of(text)
    initialize(store, plan)
    assert before.items() <= rows(store).items()
    assert stored_plan(store, "small") == plan


REFUSED = [
    ("learning_rate = 1e-3", "learning_rate = 2e-3", "learning_rate = 0.001, now it has 0.002"),
    ("state_size = 4", "state_size = 5", "state_size = 4, now it has 5"),
    ("state_size = 4", "state_size = 4\nuse_residual = false", "use_residual = true, now it has false"),
    ("seed = 0", "seed = 1", "seed = 0, now it has 1"),
    ("seed = 0", "evaluation = { windows = 9 }", "evaluation = {windows = 64}, now it has {windows = 9}"),
    (
        "seed = 0",
        "split = { train = 0.8, validation = 0.1, test = 0.1 }",
        "split = {train = 0.9, validation = 0.05, test = 0.05}, now it has {train = 0.8, validation = 0.1, test = 0.1}",
    ),
    (AXIS, f"{AXIS}\nuse_old_state = [true]", "use_old_state = false, now it has true"),
    (AXIS, "n_layers = [3]", "n_layers = 1 or 2, now it has 3"),
]


@pytest.mark.parametrize(("old", "new", "difference"), REFUSED, ids=[new for _, new, _ in REFUSED])
def test_another_protocol_is_refused(store: Store, small_toml: str, old: str, new: str, difference: str) -> None:
    plan = plan_of(small_toml)
    initialize(store, plan)
    before = rows(store)
    with pytest.raises(SpecError) as caught:
        initialize(store, plan_of(small_toml.replace(old, new)))
    assert str(caught.value) == (
        f"experiment small was started with {difference}: give the experiment another name, or use another database "
        "(--db), or go back to what small had"
    )
    assert rows(store) == before
    assert stored_plan(store, "small") == plan


REFUSED_IN_A_ROUND = [
    ("set = { windows = 3 }", "set = { windows = 4 }", "windows = 3, now it has 4"),
    ("set = { windows = 3 }", "", "windows = 3, now it has the value of the selected run"),
    (
        "set = { windows = 3 }",
        "set = { windows = 3, learning_rate = 0.1 }",
        "learning_rate = the value of the selected run, now it has 0.1",
    ),
    ("[[rounds.vary]]\n\n", "", "state_size = the value of the selected run or 6, now it has 5"),
]


@pytest.mark.parametrize(
    ("old", "new", "difference"), REFUSED_IN_A_ROUND, ids=[new for _, new, _ in REFUSED_IN_A_ROUND]
)
def test_another_protocol_of_a_round_that_has_jobs_is_refused(
    store: Store, small_toml: str, old: str, new: str, difference: str
) -> None:
    changed = small_toml.replace(old, new)
    if not new:
        changed = changed.replace("state_size = 6", "state_size = 5") if "vary" in old else changed
    plan = plan_of(small_toml)
    initialize(store, plan)
    initialize(store, plan_of(changed))  # while the round has no jobs, its rules are free
    initialize(store, plan)
    finish(store, by_place, "explore")
    assert advance(store, "small", enqueue=True).n_added > 0
    before = rows(store)
    with pytest.raises(SpecError) as caught:
        initialize(store, plan_of(changed))
    assert str(caught.value) == (
        f"round refine was started with {difference}: give the round another name, or use another database (--db), or "
        "go back to what refine had"
    )
    assert rows(store) == before
    assert stored_plan(store, "small") == plan
    # More of the same may follow, and the rounds that have no jobs yet are free.
    grown = small_toml.replace("{ state_size = 6 }", "{ state_size = 6 }\n[[rounds.vary]]\nset = { state_size = 7 }")
    initialize(store, plan_of(grown.replace("set = { windows = 2 }", "set = { windows = 5 }")))


def test_another_corpus_is_refused(store: Store, small_toml: str) -> None:
    plan = plan_of(small_toml)
    initialize(store, plan)
    before = rows(store)
    with pytest.raises(SpecError, match=r"^experiment small was started on corpus text-a \(a{12}\), not on text-b \(b"):
        initialize(store, plan_of(small_toml, "b"))
    assert rows(store) == before
    assert stored_plan(store, "small") == plan


def test_the_same_text_under_another_name_is_the_same_experiment(store: Store, small_toml: str) -> None:
    """The name is in the hash of a run: taken as new, it would train everything once more."""
    plan = plan_of(small_toml)
    initialize(store, plan)
    renamed = Plan(plan.experiment, CorpusSettings(name="other-name", sha256="a" * 64))
    assert initialize(store, renamed) == Initialized("small", added=0, total=4, left_over=0)
    assert stored_plan(store, "small") == plan


# make_plan


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
    with pytest.raises(CorpusError, match=r"is another text here \(sha256 [0-9a-f]{12}, expected 000000000000\)"):
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
        "corpus 'short' has 1,000 tokens and its validation split 50, but each split needs 60: give a text of at least"
    )
    assert make_plan(plan_of(small_toml).experiment, str(tmp_path / "short.txt"))


def test_make_plan_finds_illegal_points(data_folder: Path, small_toml: str) -> None:
    text = small_toml.replace("[grid]", "[[skip]]\nwhen = { n_layers = [1, 2] }\n[grid]")
    with pytest.raises(SpecError, match="the skip rules leave no run"):
        make_plan(plan_of(text).experiment, None)


def test_make_plan_without_the_text(data_folder: Path, small_toml: str) -> None:
    """Results from elsewhere need no text: its hash is known for public corpora, or where the experiment says it."""
    experiment = plan_of(small_toml.replace('"generated"', '"enwik8"')).experiment
    with pytest.raises(CorpusError, match=r"^corpus enwik8 is not on this machine: `rnnlab data fetch enwik8`"):
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
    with pytest.raises(SpecError, match=r"^tokenizer.vocabulary = .* comes vocabulary [0-9a-f]{64}: leave"):
        make_plan(plan_of(insisting.replace("= 300", "= 301")).experiment, None)


def test_a_vocabulary_needs_the_text(data_folder: Path, small_toml: str) -> None:
    experiment = plan_of(learning(small_toml, CHARACTERS).replace('"generated"', '"enwik8"')).experiment
    with pytest.raises(CorpusError, match=r"^corpus enwik8 is not on this machine"):
        make_plan(experiment, None, need_text=False)


# Which experiment


def test_only_experiment(store: Store, small_toml: str) -> None:
    with pytest.raises(UsageError, match=r"^name an experiment: this database has none; run `rnnlab init` first$"):
        only_experiment(store, None)
    initialize(store, plan_of(small_toml))
    assert only_experiment(store, None) == only_experiment(store, "small") == "small"
    with pytest.raises(UsageError, match=r"^no experiment 'big' in this database: it has small$"):
        only_experiment(store, "big")
    initialize(store, plan_of(small_toml.replace('"small"', '"other"')))
    with pytest.raises(UsageError, match=r"^name an experiment: this database has other, small$"):
        only_experiment(store, None)
    with pytest.raises(UsageError, match=r"^no experiment 'big' in this database: it has other, small; `rnnlab init`"):
        stored_plan(store, "big")


# advance


def test_a_round_that_is_not_complete_stays(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, lambda job: by_place(job) if job.id > 1 else None, "explore")
    before = rows(store)
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds == [RoundState("explore", expected=4, done=3, failed=1, missing=0)]
    assert (progression.added, progression.n_added) == (None, 0)
    assert rows(store) == before

    store.retry_failed()
    assert advance(store, "small", enqueue=True).rounds == [RoundState("explore", 4, done=3, failed=0, missing=0)]
    finish(store, by_place, "explore")
    assert advance(store, "small", enqueue=False).rounds[0].complete


def test_jobs_of_the_first_round_are_added_by_init_alone(store: Store, small_toml: str) -> None:
    """A results file may hold some of the grid only."""
    plan = plan_of(small_toml)
    first = plan.first_round[0]
    store.add_finished("small", plan.json, "explore", [(new_jobs([first])[0], {"min_loss": 1.0}, 1.0)])
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds == [RoundState("explore", expected=4, done=1, failed=0, missing=3)]
    assert progression.n_added == 0
    assert len(store.jobs()) == 1


def test_a_complete_round_adds_the_next(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, by_place, "explore")

    asked = advance(store, "small", enqueue=False)
    assert asked.rounds[1] == RoundState("refine", expected=4, done=0, failed=0, missing=4)
    assert asked.added is not None
    assert asked.added.explain() == "round refine: 4 jobs from the best 2 of 4 runs by min_loss (50%): 4 variants"
    assert asked.n_added == 0
    assert len(store.jobs()) == 4

    told = advance(store, "small", enqueue=True)
    assert (told.rounds, told.added, told.n_added) == (asked.rounds, asked.added, 4)
    assert asked.missing_configs == told.missing_configs == asked.added.configs
    added = [config_of(job) for job in store.jobs("small", "refine")]
    assert [
        (run.settings["n_layers"], run.settings["use_forget_gate"], run.settings["state_size"]) for run in added
    ] == [
        (1, False, 4),
        (1, False, 6),
        (1, True, 4),
        (1, True, 6),
    ]
    assert {run.settings["windows"] for run in added} == {3}
    assert {job.status for job in store.jobs("small", "refine")} == {Status.PENDING}

    before = rows(store)
    again = advance(store, "small", enqueue=True)
    assert again.rounds[1] == RoundState("refine", expected=4, done=0, failed=0, missing=0)
    assert (again.added, again.n_added) == (None, 0)
    assert rows(store) == before


def test_to_the_end(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    for round_name in ("explore", "refine", "replicate"):
        finish(store, by_place, round_name)
        progression = advance(store, "small", enqueue=True)
    assert progression.rounds == [
        RoundState("explore", 4, done=4, failed=0, missing=0),
        RoundState("refine", 4, done=4, failed=0, missing=0),
        RoundState("replicate", 6, done=6, failed=0, missing=0),
    ]
    assert all(state.complete for state in progression.rounds)
    assert (progression.added, progression.n_added) == (None, 0)
    seeds = [config_of(job).seed for job in store.jobs("small", "replicate")]
    assert seeds == [1, 2, 3, 1, 2, 3]


def test_jobs_that_the_next_round_lacks_are_added(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, by_place, "explore")
    advance(store, "small", enqueue=True)
    finish(store, by_place, "refine")
    more = plan_of(
        small_toml.replace("[[rounds.vary]]\nset", "[[rounds.vary]]\nset = { state_size = 8 }\n\n[[rounds.vary]]\nset")
    )
    initialize(store, more)
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds[1] == RoundState("refine", expected=6, done=4, failed=0, missing=2)
    assert progression.n_added == 2
    assert {run.model.state_size for run in progression.missing_configs} == {8}


def test_a_diverged_run_counts_as_done_and_is_not_selected(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    diverged: dict[int, dict[str, Any]] = {
        1: {"min_loss": 0.5, "diverged_at_step": 7},
        2: {"min_loss": None, "diverged_at_step": 1},
    }
    finish(store, lambda job: diverged.get(job.id, by_place(job)), "explore")
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds[0].complete
    assert progression.added is not None
    assert progression.added.considered == 2
    assert {run.model.n_layers for run in progression.added.configs} == {2}


def test_all_diverged_ends_the_experiment_without_claiming_success(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, lambda job: {"min_loss": None, "diverged_at_step": 1}, "explore")
    progression = advance(store, "small", enqueue=True)
    assert progression.rounds[1] == RoundState("refine", expected=0, done=0, failed=0, missing=0)
    assert not progression.rounds[1].complete
    assert len(progression.rounds) == 2
    assert progression.n_added == 0


def test_a_rule_that_asks_for_another_result(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml.replace('by = "min_loss", best', 'by = "min_los", best')))
    finish(store, by_place, "explore")
    with pytest.raises(UsageError, match=r"^the next round selects by 'min_los', but job 1 has only min_loss, "):
        advance(store, "small", enqueue=True)


@pytest.mark.parametrize(("value", "told"), [("cpu", '"cpu"'), (True, "true"), ([1.0], r"\[1.0\]")])
def test_a_rule_that_asks_for_what_is_no_number(store: Store, small_toml: str, value: object, told: str) -> None:
    initialize(store, plan_of(small_toml.replace('by = "min_loss", best', 'by = "device", best')))
    finish(store, lambda job: by_place(job) | {"device": value}, "explore")
    with pytest.raises(UsageError, match=rf"^the next round selects by 'device', but that of job 1 is {told}, no numb"):
        advance(store, "small", enqueue=True)


def test_a_selection_by_parameters_or_seconds(store: Store, small_toml: str) -> None:
    """Both are in the table; diverged runs need neither."""
    results: dict[int, dict[str, Any]] = {
        1: {"min_loss": 3.0, "parameters": 10},
        2: {"min_loss": 2.0, "parameters": 10},
        3: {"min_loss": 1.0, "parameters": 20},
        4: {"min_loss": None, "diverged_at_step": 1},
    }
    text = small_toml.replace("best_fraction = 0.5", 'pareto = "parameters"')
    initialize(store, plan_of(text))
    finish(store, lambda job: results[job.id], "explore")
    added = advance(store, "small", enqueue=False).added
    assert added is not None
    assert [(parent.value, parent.cost) for parent in added.parents] == [(1.0, 20.0), (2.0, 10.0)]

    by_time = plan_of(small_toml.replace("best_fraction = 0.5", 'pareto = "seconds"'))
    initialize(store, by_time)
    added = advance(store, "small", enqueue=False).added
    assert added is not None
    seconds = {job.id: job.seconds for job in store.jobs("small", "explore")}
    assert added.parents[0].cost == seconds[3] > 0


@pytest.mark.parametrize("quantity", ["parameters", "seconds"])
def test_imported_results_without_what_a_selection_weighs(store: Store, small_toml: str, quantity: str) -> None:
    plan = plan_of(small_toml.replace("best_fraction = 0.5", f'pareto = "{quantity}"'))
    jobs = new_jobs(plan.first_round)
    store.add_finished("small", plan.json, "explore", [(job, {"min_loss": 2.0}, 0.0) for job in jobs])
    with pytest.raises(UsageError, match=rf"^the next round selects by {quantity}, but job 1 has none: import the "):
        advance(store, "small", enqueue=True)


def test_a_rule_whose_change_is_illegal_for_a_parent(store: Store, small_toml: str) -> None:
    """Nothing is added: neither the legal jobs of the round."""
    text = small_toml.replace(AXIS, f"{AXIS}\nuse_residual = [true, false]").replace(
        "set = { windows = 3 }", "set = { windows = 3, use_new_state = false }"
    )
    initialize(store, plan_of(text))
    finish(store, by_place, "explore")
    with pytest.raises(SpecError, match=r"the layer has no output"):
        advance(store, "small", enqueue=True)
    assert {job.round for job in store.jobs()} == {"explore"}


def test_left_over_jobs_take_no_part(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    initialize(store, plan_of(small_toml.replace(AXIS, "n_layers = [2]")))
    finish(store, by_place, "explore")
    progression = advance(store, "small", enqueue=True)
    assert progression.added is not None
    assert progression.added.considered == 2
    assert {run.model.n_layers for run in progression.added.configs} == {2}


_ADVANCE = """
import sys
from rnnlab.plans.rounds import advance
from rnnlab.queue.database import open_database
from rnnlab.queue.store import Store
store = Store(open_database(sys.argv[1], create=False))
print("ready", flush=True)
sys.stdin.readline()
print(advance(store, "small", enqueue=True).n_added)
store.engine.dispose()
"""


def test_two_processes_advance_at_once(store: Store, small_toml: str) -> None:
    initialize(store, plan_of(small_toml))
    finish(store, by_place, "explore")
    path = str(store.engine.url.database)
    command = [sys.executable, "-W", "error", "-c", _ADVANCE, path]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        outputs = [child.communicate(timeout=60)[0] for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert [child.returncode for child in children] == [0, 0]
    # Whoever came first added all of them.
    assert sorted(map(int, outputs)) == [0, 4]
    assert len(store.jobs("small", "refine")) == 4
    assert [event.kind for event in store.events(limit=None)].count("added") == 8


def test_errors_are_those_of_the_user(store: Store) -> None:
    with pytest.raises(RnnlabError, match=r"^no experiment 'small' in this database: it has none; `rnnlab init` adds"):
        advance(store, "small", enqueue=True)
