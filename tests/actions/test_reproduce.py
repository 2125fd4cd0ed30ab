"""Published runs: a round of their own, and a table that says what was reproduced, what was not, what was not run."""

import tomllib
from pathlib import Path

import pytest

from rnnlab.actions.reproduce import enqueue_published, open_published, write_reproduction
from rnnlab.errors import UsageError
from rnnlab.files import Workspace
from rnnlab.plans.enqueue import initialize
from rnnlab.plans.plan import Plan, make_plan
from rnnlab.queue.job import Curve, Status
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import parse_experiment
from tests.support.store import register

PUBLISHED = """
[reproduction]
source = "somebody, somewhere"
tolerance = 0.05
because = "It is only a test."
seeds = 2

[[reproduction.runs]]
name = "shallow"
set = { n_layers = 1, use_forget_gate = true }
reported = { min_loss = 2.0, test_loss = 4.0 }
note = "A note of its own."

[[reproduction.runs]]
name = "deep"
set = { n_layers = 3, use_forget_gate = false }
reported = { min_loss = 1.0 }
"""


@pytest.fixture
def plan(small_toml: str, data_folder: Path) -> Plan:
    return make_plan(parse_experiment(tomllib.loads(small_toml + PUBLISHED), "small.toml"), None)


def finish_all(store: Store, results: dict[int, dict[str, float]]) -> None:
    """Give the jobs of the reproduction their results, by seed."""
    register(store, "w")
    while jobs := store.claim("w", 10):
        for job in jobs:
            assert (job.round, job.priority) == ("reproduction", 1)
            seed = int(job.payload.partition('"seed":')[2].split(",")[0])
            result = {**results[seed], "device": "cpu", "git_commit": "0123456789abcdef"}
            store.finish(job.claim, result, 1800.0, Curve())


def test_published_runs_go_before_the_grid_and_are_added_once(store: Store, plan: Plan) -> None:
    initialize(store, plan)
    outcome = enqueue_published(store, plan, seeds=None, only=[])
    assert (outcome.added, outcome.wanted) == (4, 4)
    assert enqueue_published(store, plan, seeds=3, only=["deep", "nothing"]).added == 1
    assert open_published(store, "small") == 5
    assert len(store.jobs("small", "reproduction")) == 5
    register(store, "w")
    assert {job.round for job in store.claim("w", 1)} == {"reproduction"}


def test_the_table_compares(store: Store, plan: Plan, tmp_path: Path) -> None:
    enqueue_published(store, plan, seeds=None, only=["shallow"])
    finish_all(store, {0: {"min_loss": 2.0, "test_loss": 4.5}, 1: {"min_loss": 2.1, "test_loss": 4.7}})
    path = write_reproduction(store, Workspace(tmp_path / "results", tmp_path / "plots"), "small")
    text = path.read_text()
    assert path.relative_to(tmp_path) == Path("results/small/reproduction.md")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        ["shallow", "min loss", "2", "2.050", "0.071", "+2.5%", "yes", "2", "20"],
        ["shallow", "test loss", "4", "4.600", "0.141", "+15.0%", "no", "2", "20"],
        ["deep", "min loss", "1", "not run", "", "", "", "0", "20"],
    ]
    assert "1 of 2 published numbers are reproduced; not run: deep." in text
    assert "- **shallow**: A note of its own." in text
    assert "Device: cpu; 1.00 h in training; rnnlab commit 0123456789ab." in text


def test_the_seeds_that_finished_count_whichever_they_are(store: Store, plan: Plan, tmp_path: Path) -> None:
    """The first ones may still be waiting, or have failed."""
    enqueue_published(store, plan, seeds=3, only=["deep"])
    register(store, "w")
    for job in store.claim("w", 10):
        if '"seed":2' in job.payload:
            store.finish(job.claim, {"min_loss": 1.02, "device": "cpu", "git_commit": None}, 1.0, Curve())
        else:
            store.release([job.claim])
    text = write_reproduction(store, Workspace(tmp_path, tmp_path), "small").read_text()
    assert "| deep | min loss | 1 | 1.020 | – | +2.0% | yes | 1 | 20 |" in text
    assert "Device: cpu; 0.00 h in training; rnnlab commit –." in text


def test_a_number_that_results_do_not_have_is_a_mistake(store: Store, plan: Plan, tmp_path: Path) -> None:
    enqueue_published(store, plan, seeds=1, only=["shallow"])
    finish_all(store, {0: {"min_loss": 2.0}})
    with pytest.raises(UsageError, match="published run 'shallow' reports test_loss, but results have min_loss, "):
        write_reproduction(store, Workspace(tmp_path, tmp_path), "small")
    assert list(tmp_path.rglob("*.md")) == []


def test_a_run_that_was_not_published_cannot_be_asked_for(store: Store, plan: Plan) -> None:
    with pytest.raises(
        UsageError, match="no published run of small has 'wide' in its name: the runs are shallow, deep"
    ):
        enqueue_published(store, plan, seeds=None, only=["wide"])
    assert store.jobs() == []


def test_an_experiment_without_published_runs(store: Store, small_toml: str, data_folder: Path) -> None:
    plan = make_plan(parse_experiment(tomllib.loads(small_toml), "small.toml"), None)
    with pytest.raises(UsageError, match=r"experiment small has no published runs: it has no \[reproduction\] table"):
        enqueue_published(store, plan, seeds=None, only=[])


def test_a_diverged_run_is_not_reproduced(store: Store, plan: Plan, tmp_path: Path) -> None:
    enqueue_published(store, plan, seeds=1, only=["deep"])
    register(store, "w")
    (job,) = store.claim("w", 1)
    store.finish(job.claim, {"min_loss": None}, 1.0, Curve(), step=3)
    assert store.jobs(status=Status.DONE)
    text = write_reproduction(store, Workspace(tmp_path, tmp_path), "small").read_text()
    assert "| deep | min loss | 1 | nan | – | +nan% | no | 1 | 20 |" in text
