"""`rnnlab status`: tables, hints and JSON."""

import json
import time

import pytest

from rnnlab.queue.database import open_database
from rnnlab.queue.job import Curve, WorkerRecord
from rnnlab.queue.store import Store
from tests.support.commands import Cli
from tests.support.store import fail_for_good


def test_status(with_jobs: Cli) -> None:
    outcome = with_jobs("status")
    assert outcome.out.splitlines() == [
        "small",
        "  round    pending  running  done  failed  trained",
        "  explore        4        0     0       0     0.0%",
        "  0 workers alive",
        "  time left unknown: nothing has been trained here yet",
    ]
    assert outcome.err == "next: rnnlab worker small\n"


def test_status_of_finished_jobs(with_results: Cli) -> None:
    outcome = with_results("status")
    assert outcome.out.splitlines()[2:] == [
        "  explore        0        0     4       0   100.0%",
        "  best so far min_loss 2.1000: job 4 of round explore",
    ]
    assert outcome.err == "next: rnnlab analyze small\n"


def test_status_of_jobs_that_were_trained_here(with_jobs: Cli) -> None:
    engine = open_database(with_jobs.folder / "results" / "rnnlab.db", create=False)
    store, now = Store(engine), time.time()
    store.register_worker(WorkerRecord("w", "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    one, two = store.claim("w", 4)
    store.finish(one.claim, {"min_loss": 2.0}, 10.0, Curve())
    fail_for_good(store, two.claim, "Traceback")
    engine.dispose()
    outcome = with_jobs("status")
    assert outcome.out.splitlines()[1:] == [
        f"  FAILED job {two.id}: Traceback",
        "  round    pending  running  done  failed  trained",
        "  explore        2        0     1       1    25.0%",
        "  1 worker alive",
        "  time left 0:00:20 with 1 worker, 2 model-steps/s each",
        "  best so far min_loss 2.0000: job 1 of round explore",
    ]
    # The worker goes on: nothing is to be done.
    assert outcome.err == ""


def test_status_of_failed_jobs(with_results: Cli) -> None:
    with_results.file("more.toml", (with_results.folder / "small.toml").read_text().replace("[1, 2]", "[1, 2, 3]"))
    assert with_results("init", "more.toml").out == "small: added 2 jobs, 6 in the grid\n"
    engine = open_database(with_results.folder / "results" / "rnnlab.db", create=False)
    store, now = Store(engine), time.time()
    store.register_worker(WorkerRecord("w", "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    for job in store.claim("w", 4):
        fail_for_good(store, job.claim, "Traceback")
    store.stop_worker("w")
    engine.dispose()
    assert with_results("status").err == "2 jobs failed; to run them again: rnnlab retry --failed\n"
    assert with_results("analyze").err.startswith(
        "round explore: 2 of 6 jobs failed: run them again with `rnnlab retry --failed`"
    )
    retried = with_results("retry", "--failed", "--experiment", "small")
    assert sorted(line.split(": ")[1] for line in retried.out.splitlines()) == ["pending again"] * 2
    assert with_results("status").err == "next: rnnlab worker small\n"


def test_status_of_several_experiments(with_results: Cli) -> None:
    assert with_results("init", "demo").code == 0
    both = with_results("status").out
    assert [line for line in both.splitlines() if line[:1].strip()] == ["demo", "small"]
    only = with_results("status", "small").out
    assert both.endswith(f"\n\n{only}")


def test_status_as_json(with_results: Cli) -> None:
    before = with_results.tree()
    outcome = with_results("status", "--json")
    assert with_results.tree() == before
    assert outcome.err == ""
    document = json.loads(outcome.out)
    assert document["workers"] == []
    (one,) = document["experiments"]
    assert one["experiment"] == "small"
    none = dict.fromkeys(("pending", "running", "failed", "paused", "cancelled"), 0)
    assert one["rounds"] == [{"name": "explore", "done": 4, "percent": 100.0, **none}]
    assert one["best"] == {"job_id": 4, "round": "explore", "metric": "min_loss", "value": 2.1}


@pytest.mark.parametrize("command", [["status"], ["status", "--json"], ["best"], ["analyze", "--no-enqueue"]])
def test_looking_changes_no_byte_of_the_database(with_results: Cli, command: list[str]) -> None:
    def database() -> dict[str, str]:
        return {name: found for name, found in with_results.tree().items() if name.startswith("results/rnnlab.db")}

    before = database()
    assert with_results(*command).code == 0
    assert database() == before
