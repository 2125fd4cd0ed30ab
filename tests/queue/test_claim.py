"""Promise 2: a job is claimed by one worker only, in the right order, in cohorts of one group."""

import json

import pytest

from rnnlab.errors import WorkerStoppedError
from rnnlab.queue.claim_statements import Among
from rnnlab.queue.job import Status
from rnnlab.queue.store import Store
from tests.support.store import ManualClock, add, kinds, new_job, register, run_together


def test_a_claimed_job_is_running_and_the_claimers(store: Store, clock: ManualClock) -> None:
    [job_id] = add(store, [new_job(1)])
    [job] = store.claim(register(store, "w"), 1)
    assert (job.id, job.status, job.worker_id, job.epoch) == (job_id, Status.RUNNING, "w", 1)
    assert job.started_at == clock.now
    assert store.job(job_id) == job
    assert store.claim("w", 1) == []


def test_every_claim_raises_the_epoch_and_keeps_the_first_start(store: Store, clock: ManualClock) -> None:
    [job_id] = add(store, [new_job(1)])
    register(store, "w")
    start = clock.now
    for epoch in (1, 2, 3):
        [job] = store.claim("w", 1)
        assert (job.epoch, job.started_at) == (epoch, start)
        clock.now += 5
        store.release([job.claim])
    assert kinds(store, job_id) == ["added", "claimed", "released", "resumed", "released", "resumed", "released"]


def test_a_cohort_is_of_one_group_in_the_order_of_claims(store: Store) -> None:
    ids = add(store, [new_job(n, group_key="ab"[n % 2]) for n in range(8)])
    register(store, "w")
    assert [job.id for job in store.claim("w", 3)] == ids[0:6:2]  # the group of the first job
    assert [job.id for job in store.claim("w", 99)] == ids[1::2]  # the other group: its jobs are first now
    assert [job.id for job in store.claim("w", 99)] == ids[6:8:2]


def test_priority_comes_first_then_started_then_age(store: Store) -> None:
    low, started, fresh, high = add(store, [new_job(1, priority=-1), new_job(2), new_job(3), new_job(4, priority=1)])
    register(store, "w")
    first = store.claim("w", 4)
    assert [job.id for job in first] == [high, started, fresh, low]
    store.release([job.claim for job in first if job.id in (fresh, low)])
    [late] = set(add(store, [new_job(5)])) - {low, started, fresh, high}
    assert [job.id for job in store.claim("w", 4)] == [fresh, late, low]


def test_a_begun_job_has_the_right_of_way_before_an_older_one(store: Store) -> None:
    older, begun = add(store, [new_job(1, group_key="a"), new_job(2, group_key="b")])
    register(store, "w")
    store.release([job.claim for job in store.claim("w", 1, group_key="b")])
    assert [job.id for job in store.claim("w", 1)] == [begun]
    assert [job.id for job in store.claim("w", 1)] == [older]


def test_the_first_job_decides_the_group(store: Store) -> None:
    add(store, [new_job(n, group_key="many") for n in range(5)])
    [important] = add(store, [new_job(9, group_key="few", priority=1)], round_name="second")
    assert [job.id for job in store.claim(register(store, "w"), 5)] == [important]


def test_claims_can_be_restricted_to_a_group(store: Store) -> None:
    ids = add(store, [new_job(n, group_key="ab"[n % 2]) for n in range(4)])
    register(store, "w")
    assert store.claim("w", 9, group_key="c") == []
    assert [job.id for job in store.claim("w", 9, group_key="b")] == ids[1::2]


def test_claims_can_be_restricted_to_an_experiment(store: Store) -> None:
    add(store, [new_job(1, priority=5)], experiment="other")
    mine = add(store, [new_job(1), new_job(2)], experiment="mine")
    register(store, "w")
    assert store.claim("w", 9, experiment="none") == []
    assert [job.id for job in store.claim("w", 9, experiment="mine")] == mine


def test_claims_can_be_restricted_to_jobs_begun_before(store: Store) -> None:
    ids = add(store, [new_job(n, group_key="ab"[n % 2]) for n in range(6)])
    register(store, "w")
    assert store.claim("w", 9, among=Among.STARTED) == []
    claimed = store.claim("w", 2)
    store.release([job.claim for job in claimed])
    assert store.claim("w", 9, among=Among.STARTED, group_key="b") == []
    assert [job.id for job in store.claim("w", 9, among=Among.STARTED)] == [ids[0], ids[2]]


def test_only_a_registered_worker_that_was_not_stopped_may_claim(store: Store) -> None:
    add(store, [new_job(1)])
    with pytest.raises(WorkerStoppedError, match="stranger"):
        store.claim("stranger", 1)
    register(store, "w")
    store.stop_worker("w")
    with pytest.raises(WorkerStoppedError, match="start a new worker"):
        store.claim("w", 1)
    assert store.pending_count() == 1


def test_four_processes_take_every_job_once(database_url: str, store: Store) -> None:
    ids = add(store, [new_job(n, group_key=f"g{n % 7}") for n in range(600)])
    outputs = run_together([["claim", database_url, f"w{n}"] for n in range(4)])
    taken = {f"w{n}": json.loads(output) for n, output in enumerate(outputs)}
    assert sorted(job_id for part in taken.values() for job_id in part) == ids
    assert store.counts() == {("demo", "first", Status.DONE): 600}
    for job in store.jobs():
        assert (job.epoch, job.seconds) == (1, 0.5)
        assert job.result == {"by": job.worker_id}
        assert job.id in taken[str(job.worker_id)]
    assert len(store.events(limit=None)) == 3 * 600
