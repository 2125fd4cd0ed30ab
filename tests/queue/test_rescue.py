"""Leases, rescue, and the budget of deaths (promises 4 and 6)."""

from dataclasses import replace

import pytest

from rnnlab.queue.claim_statements import Among
from rnnlab.queue.heartbeat import rescue_dead_workers
from rnnlab.queue.job import Job, Status
from rnnlab.queue.liveness import Host, LeaseWatch
from rnnlab.queue.store import Store
from tests.support.store import CURVE, ManualClock, add, kinds, new_job, register

HERE = Host("here", "this boot")


def get(store: Store, job_id: int) -> Job:
    job = store.job(job_id)
    assert job is not None
    return job


def claim_by_new_worker(store: Store, worker_id: str) -> Job:
    [job] = store.claim(register(store, worker_id), 1)
    return job


def test_rescue_takes_the_running_jobs_of_that_worker_only(store: Store, clock: ManualClock) -> None:
    ids = add(store, [new_job(n) for n in range(5)])
    register(store, "dead")
    register(store, "alive")
    done, *lost = store.claim("dead", 3)
    store.finish(done.claim, {}, 1.0, CURVE)
    [kept] = store.claim("alive", 1)
    clock.now += 7
    assert store.rescue("dead", "process 1 is gone") == ids[1:3]
    assert [get(store, job_id).status for job_id in ids] == ["done", "pending", "pending", "running", "pending"]
    assert get(store, kept.id) == kept
    assert [get(store, job.id).deaths for job in lost] == [1, 1]
    assert kinds(store, ids[1]) == ["added", "claimed", "rescued"]
    last = store.events(ids[1])[-1]
    assert (last.worker_id, last.epoch, last.detail, last.at) == ("dead", 1, "process 1 is gone", clock.now)
    assert [worker.stopped_at for worker in store.workers()] == [None, clock.now]  # ordered by start, then id
    assert [worker.id for worker in store.workers(alive_only=True)] == ["alive"]


def test_a_death_counts_once_however_many_rescuers_see_it(store: Store) -> None:
    [job_id] = add(store, [new_job(1)])
    claim_by_new_worker(store, "dead")
    assert store.rescue("dead", "gone") == [job_id]
    assert store.rescue("dead", "gone") == []
    claim_by_new_worker(store, "next")
    assert store.rescue("dead", "gone") == []
    assert (get(store, job_id).deaths, get(store, job_id).status) == (1, Status.RUNNING)


def test_a_rescue_does_nothing_if_the_lease_was_renewed(store: Store, clock: ManualClock) -> None:
    add(store, [new_job(1)])
    job = claim_by_new_worker(store, "slow")
    [seen] = store.workers()
    clock.now += 61
    assert store.heartbeat("slow")
    assert store.rescue("slow", "expired", if_lease_until=seen.lease_until) == []
    assert store.held_by("slow") == [job.claim]
    [renewed] = store.workers(alive_only=True)
    assert store.rescue("slow", "expired", if_lease_until=renewed.lease_until) == [job.id]


def test_the_second_death_without_progress_fails_the_job(store: Store) -> None:
    [job_id] = add(store, [new_job(1)])
    claim_by_new_worker(store, "w1")
    store.rescue("w1", "gone")
    claim_by_new_worker(store, "w2")
    assert store.rescue("w2", "the second one is gone") == [job_id]
    job = get(store, job_id)
    assert (job.status, job.deaths) == (Status.FAILED, 2)
    assert job.error is not None
    assert "without progress" in job.error and "the second one is gone" in job.error
    assert job.finished_at is not None
    assert kinds(store, job_id) == ["added", "claimed", "rescued", "resumed", "failed"]
    assert store.retry_failed() == 1
    assert get(store, job_id).deaths == 0


def test_in_company_the_second_death_is_no_proof(store: Store) -> None:
    """Two jobs whose workers died twice: each is tried alone, and the one that makes progress is innocent."""
    ids = add(store, [new_job(n) for n in range(3)])
    for number in (1, 2):
        assert [job.id for job in store.claim(register(store, f"w{number}"), 2)] == ids[:2]
        store.rescue(f"w{number}", "gone")
    assert [(job.status, job.deaths) for job in store.jobs()] == [*[(Status.PENDING, 2)] * 2, (Status.PENDING, 0)]
    register(store, "w3")
    assert [job.id for job in store.claim("w3", 3)] == ids[2:]
    assert store.claim("w3", 3, among=Among.STARTED) == []
    [guilty] = store.claim("w3", 1, among=Among.SUSPECTED)
    store.rescue("w3", "gone too")  # it also held another job, which is not suspected
    assert [get(store, job_id).status for job_id in ids] == ["failed", "pending", "pending"]
    assert guilty.id == ids[0]

    register(store, "w4")
    [innocent] = store.claim("w4", 1, among=Among.SUSPECTED)
    store.commit_progress(innocent.claim, 1, 1.0, CURVE)
    store.rescue("w4", "gone")
    assert (get(store, ids[1]).status, get(store, ids[1]).deaths) == (Status.PENDING, 1)
    register(store, "w5")
    assert [job.id for job in store.claim("w5", 3)] == ids[1:]


def test_a_worker_is_entered_once(store: Store) -> None:
    register(store, "w")
    [before] = store.workers()
    store.register_worker(replace(before, pid=7))  # the answer to the first call was lost
    assert store.workers() == [before]


@pytest.mark.parametrize(("step", "status"), [(100, Status.FAILED), (101, Status.PENDING)])
def test_only_real_progress_resets_the_deaths(store: Store, step: int, status: Status) -> None:
    [job_id] = add(store, [new_job(1)])
    store.commit_progress(claim_by_new_worker(store, "w1").claim, 100, 1.0, CURVE)
    store.rescue("w1", "gone")
    store.commit_progress(claim_by_new_worker(store, "w2").claim, step, 1.0, CURVE)
    store.rescue("w2", "gone")
    job = get(store, job_id)
    assert (job.status, job.step) == (status, step)


def test_the_step_never_goes_back(store: Store) -> None:
    [job_id] = add(store, [new_job(1)])
    job = claim_by_new_worker(store, "w")
    store.commit_progress(job.claim, 100, 1.0, CURVE)
    store.commit_progress(job.claim, 50, 1.0, CURVE)
    assert get(store, job_id).step == 100


def test_a_graceful_stop_costs_nothing(store: Store) -> None:
    [job_id] = add(store, [new_job(1)])
    for number in range(4):
        job = claim_by_new_worker(store, f"w{number}")
        if number % 2:
            store.release([job.claim])
        store.stop_worker(f"w{number}")
    job = get(store, job_id)
    assert (job.deaths, job.failures, job.preemptions, job.status) == (0, 0, 4, Status.PENDING)
    assert store.workers(alive_only=True) == []
    assert kinds(store, job_id)[1:] == ["claimed", "released", *["resumed", "released"] * 3]


def test_the_heartbeat_renews_the_lease_of_a_live_worker_only(store: Store, clock: ManualClock) -> None:
    register(store, "w")
    clock.now += 30
    assert store.heartbeat("w")
    [worker] = store.workers()
    assert (worker.heartbeat_at, worker.lease_until) == (clock.now, clock.now + 60)
    store.rescue("w", "gone")
    clock.now += 1
    assert not store.heartbeat("w")
    assert not store.heartbeat("stranger")
    assert store.workers()[0].lease_until == worker.lease_until


def test_workers_of_other_hosts_are_rescued_when_their_lease_was_seen_to_run_out(
    store: Store, clock: ManualClock
) -> None:
    ids = add(store, [new_job(n) for n in range(3)])
    claim_by_new_worker(store, "silent")
    claim_by_new_worker(store, "beating")
    claim_by_new_worker(store, "me")
    watch = LeaseWatch(clock)
    assert rescue_dead_workers(store, HERE, watch, me="me") == []
    clock.now += 60
    assert rescue_dead_workers(store, HERE, watch, me="me") == []
    store.heartbeat("beating")
    clock.now += 1
    assert rescue_dead_workers(store, HERE, watch, me="me") == ids[:1]
    assert [worker.id for worker in store.workers(alive_only=True)] == ["beating", "me"]


@pytest.mark.parametrize("step_seconds", [3600.0, -3600.0])
def test_setting_a_clock_kills_no_worker(store: Store, clock: ManualClock, step_seconds: float) -> None:
    add(store, [new_job(n) for n in range(2)])
    job = claim_by_new_worker(store, "w")
    steady = ManualClock()
    watch = LeaseWatch(steady)
    for _ in range(10):
        steady.now += 30
        clock.now += step_seconds
        assert rescue_dead_workers(store, HERE, watch) == []
        assert store.heartbeat("w")
    assert store.held_by("w") == [job.claim]
    steady.now += 30
    assert rescue_dead_workers(store, HERE, watch) == []  # it sees the last renewal
    steady.now += 61
    assert rescue_dead_workers(store, HERE, watch) == [job.id]
