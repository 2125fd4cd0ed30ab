"""Jobs of a plan are added to the table once, and only to a compatible experiment."""

import pytest

from rnnlab.errors import SpecError
from rnnlab.plans.enqueue import Initialized, initialize
from rnnlab.plans.plan import Plan, config_of, stored_plan
from rnnlab.plans.rounds import advance
from rnnlab.queue.job import Status
from rnnlab.queue.store import Store
from rnnlab.spec.settings import CorpusSettings
from tests.plans.examples import AXIS, by_place, finish, plan_of, rows


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
        f"experiment small was started with {difference}: rename the experiment, use another database "
        "(--db), or restore the settings of small"
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
        f"round refine was started with {difference}: rename the round, use another database (--db), or "
        "restore the settings of refine"
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
    with pytest.raises(
        SpecError, match=r"^experiment small was started with corpus text-a \(a{12}\), not with text-b "
    ):
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
