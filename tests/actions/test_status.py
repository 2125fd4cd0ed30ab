"""How far an experiment is. Looking changes nothing."""

import tomllib
from pathlib import Path

import pytest

from rnnlab.actions.status import (
    BestRun,
    Failure,
    RoundStatus,
    best_run,
    experiment_status,
    format_seconds,
    live_workers,
    summary_line,
    worker_statuses,
)
from rnnlab.errors import UsageError
from rnnlab.plans.enqueue import initialize, new_jobs
from rnnlab.plans.plan import Plan
from rnnlab.plans.rounds import advance
from rnnlab.queue.database import open_database
from rnnlab.queue.job import Curve, Job, WorkerRecord
from rnnlab.queue.store import Store
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.settings import CorpusSettings
from tests.support.store import fail_for_good


@pytest.fixture
def plan(small_toml: str) -> Plan:
    """Four jobs of 20 steps in two groups: two with one layer, two with two."""
    experiment = parse_experiment(tomllib.loads(small_toml), "x.toml")
    return Plan(experiment, CorpusSettings(name="text", sha256="a" * 64))


def claim_all(store: Store, worker: str = "worker", lease_seconds: float = 3600.0) -> list[Job]:
    now = store.clock()
    store.register_worker(WorkerRecord(worker, "elsewhere", "", 1, "cpu", "/x", now, now, now + lease_seconds, None))
    claimed: list[Job] = []
    while some := store.claim(worker, 1000):
        claimed += some
    return sorted(claimed, key=lambda job: job.id)


def test_before_anything_is_trained(store: Store, plan: Plan) -> None:
    initialize(store, plan)
    status = experiment_status(store, "small")
    assert status.rounds == [RoundStatus("explore", pending=4, running=0, done=0, failed=0, percent=0.0)]
    assert (status.workers_alive, status.workers_dead, status.open_jobs) == (0, 0, 4)
    assert (status.steps_per_second, status.seconds_left, status.best) == (None, None, None)
    assert summary_line(status) == "explore: 0 of 4 jobs done, 0 running, time left unknown"


def test_partly_trained_jobs_count(store: Store, plan: Plan) -> None:
    initialize(store, plan)
    one, two, three, four = claim_all(store)
    store.finish(one.claim, {"min_loss": 2.0}, 10.0, Curve())  # 20 steps at 2 a second
    store.commit_progress(two.claim, 10, 10.0, Curve())  # 10 steps at 1 a second
    fail_for_good(store, four.claim, "Traceback")
    status = experiment_status(store, "small")
    assert status.rounds == [RoundStatus("explore", pending=0, running=2, done=1, failed=1, percent=37.5)]
    # The one-layer group made 30 steps in 20 s. The other group has no measurement yet: the mean speed, 1.5 as well.
    assert status.steps_per_second == 1.5
    assert status.seconds_left == pytest.approx((10 + 20) / 1.5)
    assert status.best == BestRun(one.id, "explore", "min_loss", 2.0)
    assert summary_line(status) == "explore: 1 of 4 jobs done, 2 running, time left 0:00:20, best min_loss 2.0000"

    store.commit_progress(three.claim, 10, 100.0, Curve())
    status = experiment_status(store, "small")
    assert status.seconds_left == pytest.approx(10 / 1.5 + 10 / 0.1)


def test_workers_share_the_work(store: Store, plan: Plan) -> None:
    initialize(store, plan)
    one, *_ = claim_all(store)
    store.finish(one.claim, {"min_loss": 2.0}, 20.0, Curve())
    claim_all(store, "second")
    claim_all(store, "late", lease_seconds=-1.0)
    status = experiment_status(store, "small")
    assert (status.workers_alive, status.workers_dead) == (2, 1)
    assert status.seconds_left == pytest.approx(60 / 2)


def test_imported_jobs_say_nothing_about_the_speed_here(store: Store, plan: Plan) -> None:
    """They were trained on another machine, and may have no time at all."""
    jobs = new_jobs(plan.first_round)
    store.add_finished("small", plan.json, "explore", [(job, {"min_loss": 2.0}, 0.001) for job in jobs[:2]])
    initialize(store, plan)
    status = experiment_status(store, "small")
    assert (status.steps_per_second, status.seconds_left) == (None, None)
    assert status.rounds[0].percent == 50.0
    one, _ = claim_all(store)
    store.finish(one.claim, {"min_loss": 2.0}, 10.0, Curve())
    status = experiment_status(store, "small")
    assert status.steps_per_second == pytest.approx(2.0)
    assert status.seconds_left == pytest.approx(10.0)


def test_the_current_round_is_the_last_with_work(store: Store, plan: Plan) -> None:
    initialize(store, plan)
    for job in claim_all(store):
        store.finish(job.claim, {"min_loss": 1.0 + job.id}, 1.0, Curve())
    store.stop_worker("worker")
    advance(store, "small", enqueue=True)
    status = experiment_status(store, "small")
    assert [part.name for part in status.rounds] == ["explore", "refine"]
    assert status.rounds_to_come == ["replicate"]
    assert summary_line(status).startswith("refine: 0 of 4 jobs done, 0 running, time left 0:00:")
    assert status.as_json()["rounds"][1]["pending"] == 4


def test_best_run_is_finite_and_not_diverged(store: Store, plan: Plan) -> None:
    initialize(store, plan)
    one, two, three, four = claim_all(store)
    assert best_run(store, "small", "min_loss") is None
    store.finish(one.claim, {"min_loss": None, "diverged_at_step": None}, 1.0, Curve())
    store.finish(two.claim, {"min_loss": 0.5, "diverged_at_step": 3}, 1.0, Curve())
    assert best_run(store, "small", "min_loss") is None
    store.finish(three.claim, {"min_loss": 2.0, "diverged_at_step": None}, 1.0, Curve())
    store.finish(four.claim, {"min_loss": 2.5}, 1.0, Curve())
    assert best_run(store, "small", "min_loss") == BestRun(three.id, "explore", "min_loss", 2.0)


def test_workers_with_their_jobs_speed_and_age(store: Store, plan: Plan) -> None:
    initialize(store, plan)
    one, two, *_ = claim_all(store)
    store.finish(one.claim, {"min_loss": 2.0}, 10.0, Curve())  # 20 steps
    store.commit_progress(two.claim, 10, 5.0, Curve())
    claim_all(store, "idle")
    claim_all(store, "late", lease_seconds=-1.0)
    claim_all(store, "stopped")
    store.stop_worker("stopped")
    busy, idle, late = worker_statuses(store)
    assert (busy.id, busy.host, busy.pid, busy.device, busy.jobs, busy.dead) == (
        "worker",
        "elsewhere",
        1,
        "cpu",
        3,
        False,
    )
    assert busy.steps_per_second == pytest.approx(30 / 15)
    assert 0 <= busy.heartbeat_age_seconds < 60
    assert (idle.id, idle.jobs, idle.steps_per_second, idle.dead) == ("idle", 0, None, False)
    assert (late.id, late.dead) == ("late", True)
    assert live_workers(store) == 2


def test_failures_may_be_cut_short(store: Store, plan: Plan) -> None:
    initialize(store, plan)
    for job in claim_all(store):
        fail_for_good(store, job.claim, "" if job.id == 1 else f"Traceback\nError: {job.id}\n")
    assert experiment_status(store, "small").failures == [
        Failure(1, "no reason given"),
        *(Failure(number, f"Error: {number}") for number in (2, 3, 4)),
    ]
    few = experiment_status(store, "small", most_failures=2)
    assert [failure.job_id for failure in few.failures] == [1, 2]
    assert few.rounds[0].failed == 4


def test_unknown_experiment(store: Store) -> None:
    with pytest.raises(UsageError, match=r"^no experiment 'small' in this database: it has none; `rnnlab init` adds"):
        experiment_status(store, "small")


def test_a_look_takes_no_lock_and_changes_no_byte(store: Store, plan: Plan, tmp_path: Path) -> None:
    initialize(store, plan)
    claim_all(store)
    store.engine.dispose()
    path = Path(str(store.engine.url.database))
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    engine = open_database(path, create=False, read_only=True)
    assert experiment_status(Store(engine), "small").rounds[0].running == 4
    engine.dispose()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0, "less than a second"),
        (0.99, "less than a second"),
        (1.0, "0:00:01"),
        (59.6, "0:01:00"),
        (3661, "1:01:01"),
        (360_000, "100:00:00"),
    ],
)
def test_format_seconds(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text
