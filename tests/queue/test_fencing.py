"""Promise 3: only the last claim of a job can write to it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import pytest

from rnnlab.errors import DatabaseError, StaleClaimError
from rnnlab.queue.database import sibling_engine
from rnnlab.queue.job import Claim, Curve, Finish, Job, Status
from rnnlab.queue.store import Store
from tests.support.store import CURVE, ManualClock, add, everything_locked, kinds, new_job, register

WRITES: dict[str, Callable[[Store, Claim], object]] = {
    "commit_progress": lambda store, claim: store.commit_progress(claim, 500, 1.0, CURVE),
    "finish": lambda store, claim: store.finish(claim, {"loss": 1.0}, 1.0, CURVE),
    "apply_request": lambda store, claim: store.apply_request(claim),
    "fail": lambda store, claim: store.fail(claim, "ValueError"),
}


def claimed(store: Store) -> Job:
    add(store, [new_job(1)])
    [job] = store.claim(register(store, "first"), 1)
    return job


def everything(store: Store) -> object:
    return store.jobs(), store.events(limit=None), store.curves("demo")


@pytest.mark.parametrize("write", WRITES)
def test_after_a_rescue_the_old_worker_can_write_nothing(store: Store, write: str) -> None:
    stale = claimed(store).claim
    store.rescue("first", "no sign of life")
    before = everything(store)
    with pytest.raises(StaleClaimError, match=r"job 1 was taken over .* worker first"):
        WRITES[write](store, stale)
    assert everything(store) == before


@pytest.mark.parametrize("write", WRITES)
def test_nor_when_another_worker_has_the_job(store: Store, write: str) -> None:
    stale = claimed(store).claim
    store.rescue("first", "no sign of life")
    [taken] = store.claim(register(store, "second"), 1)
    with pytest.raises(StaleClaimError):
        WRITES[write](store, stale)
    assert store.job(taken.id) == taken
    WRITES[write](store, taken.claim)


@pytest.mark.parametrize("write", WRITES)
def test_an_older_claim_of_the_same_worker_is_stale_too(store: Store, write: str) -> None:
    old = claimed(store)
    store.release([old.claim])
    store.claim("first", 1)
    with pytest.raises(StaleClaimError):
        WRITES[write](store, old.claim)


@pytest.mark.parametrize("write", WRITES)
def test_the_claim_of_another_worker_is_of_no_use(store: Store, write: str) -> None:
    job = claimed(store)
    with pytest.raises(StaleClaimError):
        WRITES[write](store, replace(job.claim, worker_id=register(store, "thief")))
    assert store.job(job.id) == job


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("end", ["finish", "fail"])
def test_a_claim_ends_once(store: Store, end: str, write: str) -> None:
    claim = claimed(store).claim
    WRITES[end](store, claim)
    before = everything(store)
    # A repeated call changes nothing: the answer to the first one may have been lost.
    with nullcontext() if end == write else pytest.raises(StaleClaimError):
        WRITES[write](store, claim)
    assert everything(store) == before


def test_release_lets_jobs_alone_that_were_taken_over(store: Store) -> None:
    add(store, [new_job(n) for n in range(3)])
    register(store, "first")
    lost = store.claim("first", 1)
    store.rescue("first", "no sign of life")
    [taken] = store.claim(register(store, "second"), 1)
    assert taken.id == lost[0].id
    assert store.release([job.claim for job in lost]) == []
    assert store.job(taken.id) == taken
    mine = store.claim("second", 2)
    assert store.release([lost[0].claim, *(job.claim for job in mine)]) == [job.claim for job in mine]


def test_progress_is_replaced_not_added_up(store: Store) -> None:
    job = claimed(store)
    store.commit_progress(job.claim, 100, 1.5, Curve([100], {"ema_loss": [2.0]}))
    longer = Curve([100, 200], {"ema_loss": [2.0, 1.0]})
    for _ in range(2):  # the answer to the first call was lost
        store.commit_progress(job.claim, 200, 3.5, longer)
    now = store.job(job.id)
    assert now is not None
    assert (now.step, now.seconds, now.status) == (200, 3.5, Status.RUNNING)
    assert store.curve(job.id) == longer


def test_finish_keeps_result_curve_and_time(store: Store, clock: ManualClock) -> None:
    job = claimed(store)
    store.commit_progress(job.claim, 100, 1.5, CURVE)
    clock.now += 10
    final = Curve([100, 1000], {"ema_loss": [2.0, 0.1 + 0.2]})
    store.finish(job.claim, {"loss": 0.1, "diverged": False}, 3.5, final)
    done = store.job(job.id)
    assert done is not None
    assert (done.status, done.step, done.seconds, done.finished_at) == (Status.DONE, 1000, 3.5, clock.now)
    assert done.result == {"loss": 0.1, "diverged": False}
    assert done.worker_id == "first"
    assert store.curve(job.id) == final
    assert kinds(store, job.id) == ["added", "claimed", "finished"]


def test_a_diverged_job_ends_where_it_diverged(store: Store) -> None:
    job = claimed(store)
    store.finish(job.claim, {"diverged": True, "loss": None}, 1.0, CURVE, step=37)
    done = store.job(job.id)
    assert done is not None
    assert (done.status, done.step) == (Status.DONE, 37)
    assert done.result == {"diverged": True, "loss": None}


def test_a_cohort_finishes_in_one_transaction(store: Store, clock: ManualClock) -> None:
    add(store, [new_job(n) for n in range(5)])
    cohort = store.claim(register(store, "w"), 4)
    store.release([cohort[1].claim])
    store.claim("w", 1)
    before = {job.id: job for job in store.jobs()}
    items = [Finish(job.claim, {"loss": job.id / 2}, 1.5, CURVE) for job in reversed(cohort)]
    items[0] = replace(items[0], step=37)
    assert store.finish_many([]) == []
    assert store.finish_many(items) == [cohort[1].claim]
    after = {job.id: job for job in store.jobs()}
    for job in (cohort[0], cohort[2], cohort[3]):
        now = after[job.id]
        assert (now.status, now.seconds, now.result) == (Status.DONE, 1.5, {"loss": job.id / 2})
        assert now.step == (37 if job is cohort[3] else 1000)
        assert kinds(store, job.id) == ["added", "claimed", "finished"]
    for job_id in (cohort[1].id, 5):
        assert after[job_id] == before[job_id]
    assert set(store.curves("demo")) == {cohort[n].id for n in (0, 2, 3)}
    assert store.finish_many(items) == [cohort[1].claim]  # the answer was lost


def test_a_cohort_finishes_whole_or_not_at_all(store: Store) -> None:
    add(store, [new_job(n) for n in range(3)])
    cohort = store.claim(register(store, "w"), 3)
    before = everything(store)
    broken = Curve([100], {"ema_loss": [object()]})  # type: ignore[list-item]
    with pytest.raises(TypeError):
        store.finish_many(Finish(job.claim, {}, 1.0, broken if job is cohort[-1] else CURVE) for job in cohort)
    with everything_locked(store.engine):
        impatient = Store(sibling_engine(store.engine, busy_seconds=0.05))
        with pytest.raises(DatabaseError):
            impatient.finish_many(Finish(job.claim, {}, 1.0, CURVE) for job in cohort)
        impatient.engine.dispose()
    assert everything(store) == before


def test_a_repeated_finish_is_one_finish(store: Store, clock: ManualClock) -> None:
    """The answer to the first call was lost, so the worker asks again."""
    job = claimed(store)
    store.finish(job.claim, {"loss": 0.5}, 1.0, CURVE)
    before = everything(store)
    clock.now += 1
    store.finish(job.claim, {"loss": 0.25}, 2.0, Curve())
    assert everything(store) == before
    with pytest.raises(StaleClaimError):
        store.finish(replace(job.claim, worker_id="second"), {"loss": 0.25}, 2.0, CURVE)
    with pytest.raises(StaleClaimError):
        store.finish(replace(job.claim, epoch=2), {"loss": 0.25}, 2.0, CURVE)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_result_has_finite_numbers(store: Store, number: float) -> None:
    job = claimed(store)
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.finish(job.claim, {"loss": number}, 1.0, CURVE)
    assert store.job(job.id) == job


def test_progress_of_a_cohort_is_one_transaction(store: Store) -> None:
    add(store, [new_job(n) for n in range(5)])
    cohort = store.claim(register(store, "w"), 4)
    store.release([cohort[1].claim])
    store.claim("w", 1)
    other = Claim(cohort[2].id, "thief", 1)
    items = [(job.claim, 100 + job.id, 1.5, CURVE) for job in reversed(cohort)]
    before = store.jobs()
    assert store.commit_progress_many([]) == []
    assert store.commit_progress_many([*items, (other, 900, 9.0, CURVE)]) == [cohort[1].claim, other]
    after = {job.id: job for job in store.jobs()}
    for job in before:
        is_valid = job.id in {cohort[n].id for n in (0, 2, 3)}
        assert after[job.id] == (replace(job, step=100 + job.id, seconds=1.5) if is_valid else job)
    assert set(store.curves("demo")) == {cohort[n].id for n in (0, 2, 3)}


def test_progress_of_a_cohort_is_recorded_whole_or_not_at_all(store: Store) -> None:
    add(store, [new_job(n) for n in range(3)])
    cohort = store.claim(register(store, "w"), 3)
    before = everything(store)
    broken = Curve([1], {"loss": [object()]})  # type: ignore[list-item]
    with pytest.raises(TypeError):
        store.commit_progress_many([(job.claim, 100, 1.0, broken if job is cohort[-1] else CURVE) for job in cohort])
    assert everything(store) == before
    with everything_locked(store.engine):
        impatient = Store(sibling_engine(store.engine, busy_seconds=0.05))
        with pytest.raises(DatabaseError, match="locked"):
            impatient.commit_progress_many([(job.claim, 100, 1.0, CURVE) for job in cohort])
        impatient.engine.dispose()
    assert everything(store) == before


def test_exceptions_have_a_budget_and_the_last_traceback_is_kept(store: Store, clock: ManualClock) -> None:
    job = claimed(store)
    assert store.fail(job.claim, "Traceback ...\nKeyError: first") is Status.PENDING
    pending = store.job(job.id)
    assert pending is not None
    assert (pending.status, pending.failures, pending.finished_at) == (Status.PENDING, 1, None)
    assert pending.error == "Traceback ...\nKeyError: first"
    [job] = store.claim("first", 1)
    store.commit_progress(job.claim, 500, 1.0, CURVE)  # does not reset the budget of exceptions
    clock.now += 1
    assert store.fail(job.claim, "Traceback ...\nValueError: no") is Status.FAILED
    failed = store.job(job.id)
    assert failed is not None
    assert failed.failures == 2
    assert (failed.status, failed.error, failed.finished_at) == (
        Status.FAILED,
        "Traceback ...\nValueError: no",
        clock.now,
    )
    assert store.claim("first", 1) == []
    assert store.retry_failed("other") == 0
    assert store.retry_failed() == 1
    assert store.retry_failed() == 0
    [again] = store.claim("first", 1)
    assert (again.epoch, again.error, again.finished_at) == (3, None, None)
    assert kinds(store, job.id) == ["added", "claimed", "excepted", "resumed", "failed", "retried", "resumed"]
    details = {event.kind: event.detail for event in store.events(job.id)}
    assert ("KeyError: first" in details["excepted"], "ValueError: no" in details["failed"]) == (True, True)


def test_a_traceback_may_have_any_characters(store: Store) -> None:
    job = claimed(store)
    store.fail(job.claim, "no file b'\x00' \udcff \U0001f600")
    failed = store.job(job.id)
    assert failed is not None
    assert failed.error == "no file b'\\x00' \\udcff \U0001f600"
    assert store.events(job.id)[-1].detail == failed.error
    store.claim("first", 1)
    store.rescue("first", "\x00\udcff")
    assert store.events(job.id)[-1].detail == "\\x00\\udcff"
