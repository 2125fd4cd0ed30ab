"""What operators can do (promise 8): each action, its outcomes, and that nothing is lost."""

import pytest

from rnnlab.errors import StaleClaimError
from rnnlab.queue.claim_statements import Among
from rnnlab.queue.job import Job, Request, Status
from rnnlab.queue.operator_actions import Outcome
from rnnlab.queue.store import Store
from tests.support.store import CURVE, ManualClock, add, kinds, new_job, register

PENDING, RUNNING, PAUSED, DONE, FAILED, CANCELLED = range(6)


def get(store: Store, job_id: int) -> Job:
    job = store.job(job_id)
    assert job is not None
    return job


def in_every_status(store: Store) -> list[int]:
    """A job in each status; the running one is held by `w`."""
    ids = add(store, [new_job(n) for n in range(6)])
    register(store, "w")
    done, failed, running, *others = store.claim("w", 6)
    store.release([job.claim for job in others])
    store.finish(done.claim, {}, 1.0, CURVE)
    store.fail(failed.claim, "first")
    store.pause([others[0].id])
    store.cancel([others[1].id])
    [again] = store.claim("w", 1, among=Among.STARTED)
    assert again.id == failed.id
    store.fail(again.claim, "second")
    order = [others[2].id, running.id, others[0].id, done.id, failed.id, others[1].id]
    assert [get(store, job_id).status for job_id in order] == list(Status)
    assert sorted(order) == ids
    return order


def claim_one(store: Store) -> Job:
    """A running job of worker `w`."""
    add(store, [new_job(1)])
    [job] = store.claim(register(store, "w"), 1)
    return job


def test_pause(store: Store) -> None:
    ids = in_every_status(store)
    assert list(store.pause(ids).values()) == [
        Outcome.PAUSED,
        Outcome.PAUSING,
        Outcome.IS_PAUSED,
        Outcome.IS_DONE,
        Outcome.IS_FAILED,
        Outcome.IS_CANCELLED,
    ]
    assert get(store, ids[PENDING]).status is Status.PAUSED
    assert (get(store, ids[RUNNING]).status, get(store, ids[RUNNING]).request) == (Status.RUNNING, Request.PAUSE)
    assert store.claim("w", 9) == []
    assert (store.pending_count(), store.any_open()) == (0, True)


def test_cancel(store: Store, clock: ManualClock) -> None:
    ids = in_every_status(store)
    clock.now += 5
    assert list(store.cancel(ids).values()) == [
        Outcome.CANCELLED,
        Outcome.CANCELLING,
        Outcome.CANCELLED,
        Outcome.IS_DONE,
        Outcome.CANCELLED,
        Outcome.IS_CANCELLED,
    ]
    for number in (PENDING, PAUSED, FAILED):
        job = get(store, ids[number])
        assert (job.status, job.finished_at) == (Status.CANCELLED, clock.now)
        assert kinds(store, job.id)[-1] == "cancelled"
    assert get(store, ids[FAILED]).error == "second"
    assert get(store, ids[CANCELLED]).finished_at == clock.now - 5
    assert get(store, ids[RUNNING]).request is Request.CANCEL


def test_resume(store: Store) -> None:
    ids = in_every_status(store)
    told = store.resume(ids)
    assert told[ids[PAUSED]] is Outcome.PENDING
    assert [told[job_id] for job_id in ids if job_id != ids[PAUSED]] == [
        Outcome.IS_PENDING,
        Outcome.IS_RUNNING,
        Outcome.IS_DONE,
        Outcome.IS_FAILED,
        Outcome.IS_CANCELLED,
    ]
    assert kinds(store, ids[PAUSED])[-2:] == ["paused", "unpaused"]
    assert {job.id for job in store.claim("w", 9)} == {ids[PENDING], ids[PAUSED]}


def test_retry_takes_the_failed_ones_and_others_only_by_name(store: Store) -> None:
    ids = in_every_status(store)
    assert store.retry(experiment="other") == {}
    assert store.retry() == {ids[FAILED]: Outcome.PENDING}
    assert store.retry() == {}
    job = get(store, ids[FAILED])
    assert (job.status, job.failures, job.deaths, job.error, job.finished_at) == (Status.PENDING, 0, 0, None, None)
    assert [event.detail for event in store.events(job.id) if event.kind in ("excepted", "failed")] == [
        "first",
        "second",
    ]
    told = store.retry(ids)
    assert told[ids[CANCELLED]] is Outcome.PENDING
    assert set(told.values()) == {
        Outcome.PENDING,
        Outcome.IS_PENDING,
        Outcome.IS_RUNNING,
        Outcome.IS_PAUSED,
        Outcome.IS_DONE,
    }
    assert kinds(store, ids[CANCELLED])[-2:] == ["cancelled", "retried"]
    assert store.retry(ids, experiment="other") == dict.fromkeys(ids, Outcome.UNKNOWN)


def test_a_retried_job_has_a_new_budget(store: Store) -> None:
    [job_id] = add(store, [new_job(1)])
    register(store, "w")
    for round_of_tries in range(2):
        for status in (Status.PENDING, Status.FAILED):
            [job] = store.claim("w", 1)
            assert store.fail(job.claim, "no") is status
        assert (store.retry_failed("other"), store.retry_failed("demo")) == (0, 1), round_of_tries
    assert get(store, job_id).epoch == 4


def test_the_priority_can_be_changed(store: Store) -> None:
    ids = in_every_status(store)
    told = store.set_priority(ids, 5)
    assert told.pop(ids[DONE]) is Outcome.IS_DONE
    assert set(told.values()) == {Outcome.PRIORITY_SET}
    assert store.set_priority([ids[PENDING]], 5) == {ids[PENDING]: Outcome.IS_PENDING}
    store.set_priority([ids[PENDING]], -7)
    assert [event.detail for event in store.events(ids[PENDING]) if event.kind == "reprioritised"] == [
        "0 -> 5",
        "5 -> -7",
    ]
    [late] = set(add(store, [new_job(9)])) - {get(store, job_id).id for job_id in ids}
    assert [job.id for job in store.claim("w", 9)] == [late, ids[PENDING]]


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "retry"])
def test_unknown_and_repeated_jobs_have_outcomes(store: Store, action: str) -> None:
    [job_id] = add(store, [new_job(1)])
    ids = [99, job_id, 10**12, 0, -1, 99, job_id]
    told = getattr(store, action)(ids)
    assert list(told) == [99, job_id, 10**12, 0, -1]
    assert [n for n, outcome in told.items() if outcome is Outcome.UNKNOWN] == [99, 10**12, 0, -1]
    assert getattr(store, action)([]) == {}
    assert store.job(10**12) is None


def test_actions_reach_thousands_of_jobs_at_once(store: Store) -> None:
    ids = add(store, [new_job(n) for n in range(1300)])
    assert set(store.pause(ids).values()) == {Outcome.PAUSED}
    assert store.counts() == {("demo", "first", Status.PAUSED): 1300}
    assert list(store.resume(reversed(ids))) == ids[::-1]
    assert store.pending_count() == 1300


# Requests for running jobs


def test_a_worker_reads_requests_and_applies_them(store: Store, clock: ManualClock) -> None:
    ids = add(store, [new_job(n) for n in range(4)])
    first, second, third, _ = store.claim(register(store, "w"), 4)
    register(store, "other")
    assert store.requests("w") == {}
    store.pause(ids[:1])
    store.cancel(ids[1:2])
    assert store.requests("w") == {ids[0]: Request.PAUSE, ids[1]: Request.CANCEL}
    assert store.requests("other") == {}
    clock.now += 3
    store.commit_progress(first.claim, 100, 1.0, CURVE)  # a request does not block progress
    assert store.apply_request(first.claim) is Status.PAUSED
    assert store.apply_request(second.claim) is Status.CANCELLED
    assert store.apply_request(third.claim) is None
    assert store.requests("w") == {}
    for job_id, status, finished_at in ((ids[0], Status.PAUSED, None), (ids[1], Status.CANCELLED, clock.now)):
        job = get(store, job_id)
        assert (job.status, job.request, job.finished_at, job.preemptions) == (status, None, finished_at, 0)
        assert kinds(store, job_id) == ["added", "claimed", "asked", str(status)]
    assert [event.detail for event in store.events(ids[1])][-2:] == ["to cancel", "requested by an operator"]
    assert store.resume(ids[:1]) == {ids[0]: Outcome.PENDING}
    [again] = store.claim("other", 1)
    assert (again.id, again.step) == (ids[0], 100)


def test_an_applied_request_ends_the_claim(store: Store) -> None:
    job = claim_one(store)
    store.pause([job.id])
    assert store.apply_request(job.claim) is Status.PAUSED
    history = store.events(job.id)
    assert store.apply_request(job.claim) is Status.PAUSED  # again: the first answer may have been lost
    assert store.events(job.id) == history
    with pytest.raises(StaleClaimError):
        store.finish(job.claim, {}, 1.0, CURVE)
    store.resume([job.id])
    with pytest.raises(StaleClaimError):
        store.apply_request(job.claim)


def test_a_stale_claim_applies_no_request(store: Store) -> None:
    job = claim_one(store)
    store.rescue("w", "gone")
    [taken] = store.claim(register(store, "v"), 1)
    store.pause([job.id])
    with pytest.raises(StaleClaimError):
        store.apply_request(job.claim)
    assert store.apply_request(taken.claim) is Status.PAUSED


def test_a_pause_can_be_taken_back_in_time(store: Store) -> None:
    job = claim_one(store)
    store.pause([job.id])
    assert store.pause([job.id]) == {job.id: Outcome.PAUSING}
    assert store.resume([job.id]) == {job.id: Outcome.CONTINUES}
    assert store.apply_request(job.claim) is None
    assert kinds(store, job.id) == ["added", "claimed", "asked", "unasked"]


def test_a_cancellation_is_the_last_word(store: Store) -> None:
    job = claim_one(store)
    store.pause([job.id])
    for action, outcome in (
        ("cancel", Outcome.CANCELLING),
        ("pause", Outcome.CANCELLING),
        ("resume", Outcome.CANCELLING),
    ):
        assert getattr(store, action)([job.id]) == {job.id: outcome}
    assert store.apply_request(job.claim) is Status.CANCELLED


def test_done_comes_before_any_request(store: Store) -> None:
    job = claim_one(store)
    store.cancel([job.id])
    store.finish(job.claim, {"loss": 1.0}, 1.0, CURVE)
    assert (get(store, job.id).status, get(store, job.id).request) == (Status.DONE, None)
    assert kinds(store, job.id) == ["added", "claimed", "asked", "finished"]


@pytest.mark.parametrize("action", ["pause", "cancel"])
@pytest.mark.parametrize("end", ["released", "rescued", "excepted"])
def test_every_kind_of_release_applies_the_request(store: Store, clock: ManualClock, end: str, action: str) -> None:
    job = claim_one(store)
    getattr(store, action)([job.id])
    clock.now += 2
    if end == "released":
        assert store.release([job.claim]) == [job.claim]
    elif end == "rescued":
        assert store.rescue("w", "gone") == [job.id]
    else:
        assert store.fail(job.claim, "no") is {"pause": Status.PAUSED, "cancel": Status.CANCELLED}[action]
    left = get(store, job.id)
    status = {"pause": "paused", "cancel": "cancelled"}[action]
    assert (left.status, left.request, left.finished_at) == (status, None, clock.now if action == "cancel" else None)
    assert (left.preemptions, left.deaths, left.failures) == tuple(
        int(end == kind) for kind in ("released", "rescued", "excepted")
    )
    assert kinds(store, job.id) == ["added", "claimed", "asked", end, status]


@pytest.mark.parametrize("end", ["rescue", "fail"])
def test_a_request_comes_before_the_budgets(store: Store, end: str) -> None:
    [job_id] = add(store, [new_job(1)])
    for number in range(3):
        worker_id = register(store, f"w{number}")
        [job] = store.claim(worker_id, 1) or store.claim(worker_id, 1, among=Among.SUSPECTED)
        if number == 1:
            store.pause([job_id])
        if end == "rescue":
            store.rescue(worker_id, "gone")
        else:
            store.fail(job.claim, "no")
        expected = (Status.PENDING, Status.PAUSED, Status.FAILED)[number]  # the budget stays used up
        left = get(store, job_id)
        assert (left.status, left.finished_at is None) == (expected, number < 2)
        assert ("quarantined" in (left.error or "")) == (end == "rescue" and number == 2)
        store.resume([job_id])
