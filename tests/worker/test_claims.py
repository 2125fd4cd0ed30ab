"""How many jobs a worker claims, and which."""

from collections.abc import Sequence

import pytest

from rnnlab.errors import TakenForDeadError
from rnnlab.files import Workspace
from rnnlab.queue.job import Status, WorkerRecord
from rnnlab.queue.liveness import host_name
from rnnlab.queue.store import Store
from rnnlab.spec.run_config import RunConfig, run_config_from_json
from rnnlab.worker.claims import Claims, LiveWorkers
from rnnlab.worker.job_loader import JobLoader
from rnnlab.worker.running_job import RunningJob
from rnnlab.worker.worker_context import WorkerContext
from tests.support.store import register
from tests.support.worker_context import ONE_GROUP, in_training, worker_context
from tests.worker.conftest import Init

ALONE = LiveWorkers(everywhere=1, here=1)

pytestmark = pytest.mark.usefixtures("jobs_in_table")


def claims_of(context: WorkerContext) -> Claims:
    return Claims(context, JobLoader(context))


def ids(jobs: Sequence[RunningJob]) -> list[int]:
    return [running.job.id for running in jobs]


def test_a_cohort_has_the_size_that_was_asked_for(store: Store, workspace: Workspace) -> None:
    claims = claims_of(worker_context(store, workspace, cohort_size=3))
    jobs = claims.next_cohort([], ALONE)
    assert ids(jobs) == [1, 2, 3]
    assert [running.job.status for running in jobs] == [Status.RUNNING] * 3
    assert store.pending_count() == 5
    assert len(claims.next_cohort([in_training(jobs)], ALONE)) == 3


def test_max_jobs_counts_jobs_in_training_and_jobs_that_ended(store: Store, workspace: Workspace) -> None:
    context = worker_context(store, workspace, cohort_size=2, max_jobs=5)
    claims = claims_of(context)
    first = in_training(claims.next_cohort([], ALONE))
    second = in_training(claims.next_cohort([first], ALONE))
    assert claims.allow_more([first, second])
    assert len(claims.next_cohort([first, second], ALONE)) == 1
    context.counts.finished = 4
    context.counts.failed = 1
    assert not claims.allow_more([])
    assert claims.next_cohort([], ALONE) == claims.suspected_job() == []
    assert store.pending_count() == 3


def test_max_jobs_limits_the_refill_of_a_cohort(store: Store, workspace: Workspace) -> None:
    context = worker_context(store, workspace, cohort_size=4, max_jobs=6)
    claims = claims_of(context)
    jobs = claims.next_cohort([], ALONE)
    assert len(jobs) == 4
    context.counts.finished = 3
    rest = in_training(jobs[3:])
    assert len(claims.refill(rest, [rest], ALONE)) == 2


@pytest.mark.parametrize(("workers", "expected"), [(1, 8), (2, 4), (3, 3), (8, 1), (100, 1)])
def test_live_workers_share_the_jobs(store: Store, workspace: Workspace, workers: int, expected: int) -> None:
    claims = claims_of(worker_context(store, workspace, cohort_size=8))
    assert len(claims.next_cohort([], LiveWorkers(everywhere=workers, here=1))) == expected


def test_after_an_out_of_memory_error_the_cohorts_of_the_group_stay_small(store: Store, workspace: Workspace) -> None:
    claims = claims_of(worker_context(store, workspace, cohort_size=8))
    jobs = claims.next_cohort([], ALONE)
    store.release([running.job.claim for running in jobs])
    claims.limit_cohorts(jobs[0].config.group_key, 3)
    cohort = in_training(claims.started_jobs([], ALONE))
    assert len(cohort.jobs) == 3
    # One cohort at a time, although five jobs that were started are pending.
    assert claims.started_jobs([cohort], ALONE) == []
    assert claims.refill(cohort, [cohort], ALONE) == []
    claims.limit_cohorts(jobs[0].config.group_key, 0)  # half of one job
    assert len(claims.next_cohort([], ALONE)) == 1


def test_the_limit_of_one_group_does_not_limit_others(store: Store, workspace: Workspace) -> None:
    claims = claims_of(worker_context(store, workspace, cohort_size=8))
    claims.limit_cohorts("another group", 1)
    assert len(claims.next_cohort([], ALONE)) == 8


def test_a_refill_claims_jobs_for_the_free_places_only(store: Store, workspace: Workspace) -> None:
    claims = claims_of(worker_context(store, workspace, cohort_size=4))
    jobs = claims.next_cohort([], ALONE)
    full, rest = in_training(jobs), in_training(jobs[:1])
    assert claims.refill(full, [full], ALONE) == []
    assert ids(claims.refill(rest, [rest], ALONE)) == [5, 6, 7]


def test_released_jobs_are_claimed_before_new_ones(store: Store, workspace: Workspace) -> None:
    claims = claims_of(worker_context(store, workspace, cohort_size=3))
    register(store, "other")
    store.claim("other", 8)
    store.stop_worker("other")
    store.pause(range(1, 7))
    assert ids(claims.started_jobs([], ALONE)) == [7, 8]
    assert claims.started_jobs([], ALONE) == []


def test_a_suspected_job_is_claimed_alone_and_only_when_asked_for(store: Store, workspace: Workspace) -> None:
    store.pause(range(4, 9))
    for name in ("first", "second"):
        register(store, name)
        assert len(store.claim(name, 3)) == 3
        store.rescue(name, "it was killed")
    claims = claims_of(worker_context(store, workspace, cohort_size=8))
    assert claims.started_jobs([], ALONE) == claims.next_cohort([], ALONE) == []
    assert ids(claims.suspected_job()) == [1]


def test_only_jobs_of_the_experiment_are_claimed(store: Store, workspace: Workspace) -> None:
    claims = claims_of(worker_context(store, workspace, experiment="another"))
    assert claims.next_cohort([], ALONE) == claims.started_jobs([], ALONE) == claims.suspected_job() == []


def test_a_claimed_job_is_loaded_exactly_once(
    store: Store, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def parse(payload: str) -> RunConfig:
        parsed.append(payload)
        return run_config_from_json(payload)

    monkeypatch.setattr("rnnlab.worker.job_loader.run_config_from_json", parse)
    claims = claims_of(worker_context(store, workspace, cohort_size=4))
    jobs = claims.next_cohort([], ALONE)
    jobs += claims.refill(in_training(jobs[:1]), [], ALONE)
    assert ids(jobs) == [1, 2, 3, 4, 5, 6, 7]
    assert parsed == [running.job.payload for running in jobs]


def test_a_worker_that_was_declared_dead_cannot_claim(store: Store, workspace: Workspace) -> None:
    context = worker_context(store, workspace)
    store.rescue(context.worker_id, "it was silent")
    with pytest.raises(TakenForDeadError, match="worker w is not registered, was stopped or was declared dead"):
        claims_of(context).next_cohort([], ALONE)
    assert store.pending_count() == 8


def test_jobs_of_one_claim_have_one_group(store: Store, workspace: Workspace, init: Init) -> None:
    store.pause(range(3, 9))
    init(ONE_GROUP.replace("small", "other").replace("state_size = 4", "state_size = 5"))
    claims = claims_of(worker_context(store, workspace, cohort_size=8))
    assert ids(claims.next_cohort([], ALONE)) == [1, 2]
    assert ids(claims.next_cohort([], ALONE)) == list(range(9, 17))


def test_live_workers_are_counted_by_host() -> None:
    here = [WorkerRecord(name, host_name(), "", 1, "cpu", "/x", 0.0, 0.0, 60.0, None) for name in "ab"]
    there = WorkerRecord("c", "elsewhere", "", 1, "cpu", "/x", 0.0, 0.0, 60.0, None)
    assert LiveWorkers.of([*here, there]) == LiveWorkers(everywhere=3, here=2)
    assert LiveWorkers.of([]) == LiveWorkers(everywhere=1, here=1)
