"""`rnnlab analyze`: the report, the next round and its cost."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from rnnlab.queue.database import open_database
from rnnlab.queue.job import Curve, WorkerRecord
from rnnlab.queue.store import Store
from tests.support.commands import Cli, jobs


def test_a_read_only_table_is_analysed_where_nothing_is_to_be_added(
    with_results: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert with_results("analyze", "--no-enqueue").code == 0  # loads what an ordinary user may not read here
    table = (with_results.folder / "results" / "rnnlab.db").read_bytes()
    folder = Path(tempfile.mkdtemp())  # pytest's are closed to the ordinary user whom permissions bind
    try:
        for name in ("table", "results", "plots"):
            (folder / name).mkdir()
            (folder / name).chmod(0o777)
        database = folder / "table" / "jobs.db"
        database.write_bytes(table)
        database.chmod(0o444)
        (folder / "table").chmod(0o555)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        former = os.geteuid()
        os.seteuid(65_534 if former == 0 else former)
        try:
            refused = with_results("analyze", "--db", "table/jobs.db")
            done = with_results("analyze", "--no-enqueue", "--db", "table/jobs.db")
        finally:
            os.seteuid(former)
        assert (refused.code, "is read-only" in refused.err) == (2, True)
        assert (done.code, done.out.startswith("explore: ")) == (0, True), done.err
        assert database.read_bytes() == table
    finally:
        monkeypatch.undo()
        (folder / "table").chmod(0o755)
        shutil.rmtree(folder)


def test_analyze_says_what_follows_and_then_adds_it_once(with_results: Cli) -> None:
    asked = with_results("analyze", "--no-enqueue")
    plan = [
        "round refine: 4 jobs from the best 2 of 4 runs by min_loss (50%): 4 variants",
        "  all with windows = 3",
        "  each otherwise unchanged",
        "  each with state_size = 6",
        "  cost: 120 optimizer steps",  # and no time: the four were imported
    ]
    missing = "round refine: 4 jobs are not in the table yet; next: rnnlab analyze"
    assert asked.err.splitlines() == [*plan, missing]
    assert len(jobs(with_results.folder / "results" / "rnnlab.db")) == 4

    told = with_results("analyze")
    assert told.err.splitlines() == [*plan, "round refine: 4 jobs added; next: rnnlab worker"]
    assert len(jobs(with_results.folder / "results" / "rnnlab.db")) == 8
    sentence, *paths = told.out.splitlines()
    assert sentence.startswith("explore: Best: 2.1")
    assert paths
    assert all((with_results.folder / path).is_file() for path in paths)
    assert paths[-2:] == ["results/small/report.md", "results/small/report.html"]

    assert with_results("analyze").err == "round refine: 0 of 4 jobs are done; next: rnnlab worker\n"


def test_analyze_says_how_long_the_next_round_takes(with_jobs: Cli) -> None:
    engine = open_database(with_jobs.folder / "results" / "rnnlab.db", create=False)
    store, now = Store(engine), time.time()
    for worker in ("w", "x"):
        store.register_worker(WorkerRecord(worker, "elsewhere", "", 1, "cpu", "/x", now, now, now + 3600, None))
    for _ in range(2):
        for job in store.claim("w", 4):  # one layer at 2 steps a second, two layers at 1
            store.finish(job.claim, {"min_loss": 1.0 + job.id}, 10.0 if job.id <= 2 else 20.0, Curve())
    # The best two have one layer; runs with state_size = 6 are of another group, which was not trained.
    asked = with_jobs("analyze", "--no-enqueue").err.splitlines()
    time_left = "about 0:00:15 with 2 workers for the 2 jobs of sizes already trained here"
    assert asked[4] == f"  cost: 120 optimizer steps, {time_left}"
    store.stop_worker("x")
    alike = (with_jobs.folder / "small.toml").read_text().replace("\n[[rounds.vary]]\nset = { state_size = 6 }\n", "")
    with_jobs.file("small.toml", alike)
    with_jobs("init", "small.toml")
    assert with_jobs("analyze", "--no-enqueue").err.splitlines()[2] == (
        "  cost: 60 optimizer steps, about 0:00:30 with 1 worker"
    )
    engine.dispose()


def test_analyze_before_anything_is_done(with_jobs: Cli) -> None:
    outcome = with_jobs("analyze")
    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "round explore: 0 of 4 jobs are done; next: rnnlab worker\n"
