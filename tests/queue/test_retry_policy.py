"""How workers and commands wait for a database that does not answer."""

import threading
from collections.abc import Callable, Iterable

import pytest

from rnnlab.errors import DatabaseAwayError, DatabaseError, TakenForDeadError
from rnnlab.queue import retry_policy
from rnnlab.queue.retry_policy import RetryPolicy

AWAY = DatabaseAwayError("job database x cannot be reached")


class Time:
    """A clock that only `sleep` moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(retry_policy, "time", time)
    return time


def answers(outcomes: Iterable[object]) -> Callable[[], object]:
    """A call that raises or returns these outcomes, one at each attempt."""
    remaining = iter(outcomes)

    def call() -> object:
        outcome = next(remaining)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return call


class Worker:
    """The policy of a worker and what it depends on."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.stop_requested = threading.Event()
        self.lease_lost = threading.Event()
        self.retry = RetryPolicy.for_worker(self.messages.append, self.stop_requested, self.lease_lost)


def test_an_answer_at_once_needs_no_wait(time: Time) -> None:
    worker = Worker()
    assert worker.retry(answers([7])) == 7
    assert (time.pauses, worker.messages, worker.retry.was_needed) == ([], [], False)


def test_a_worker_waits_half_a_second_between_attempts_and_reports_each_wait_once(time: Time) -> None:
    worker = Worker()
    assert worker.retry(answers([AWAY, AWAY, 7])) == 7
    assert time.pauses == [0.5, 0.5]
    assert worker.messages == [f"{AWAY}; waiting for it"]
    assert worker.retry(answers([AWAY, 8])) == 8
    assert worker.messages == [f"{AWAY}; waiting for it"] * 2


def test_a_command_waits_a_fifth_of_a_second_between_attempts(time: Time) -> None:
    messages: list[str] = []
    assert RetryPolicy.for_command(messages.append)(answers([*[AWAY] * 500, 7])) == 7
    assert time.pauses == [0.2] * 500
    assert messages == [f"{AWAY}; waiting for it"]


def test_that_it_was_needed_stays_known_until_the_owner_resets_it(time: Time) -> None:
    retry = Worker().retry
    retry(answers([AWAY, 7]))
    retry(answers([7]))
    assert retry.was_needed
    retry.was_needed = False
    retry(answers([7]))
    assert not retry.was_needed


@pytest.mark.parametrize("error", [DatabaseError("job database x is damaged"), KeyError("no")])
def test_other_errors_are_raised_at_once(time: Time, error: Exception) -> None:
    worker = Worker()
    with pytest.raises(type(error)):
        worker.retry(answers([error]))
    assert (time.pauses, worker.messages, worker.retry.was_needed) == ([], [], False)


def test_a_lost_lease_ends_the_wait(time: Time) -> None:
    worker = Worker()

    def lose() -> object:
        if len(time.pauses) == 3:
            worker.lease_lost.set()
        raise AWAY

    with pytest.raises(TakenForDeadError, match="cannot be reached, for longer than the lease of this worker"):
        worker.retry(lose)
    assert time.pauses == [0.5] * 3
    assert worker.retry.was_needed


def test_a_lost_lease_does_not_stop_a_call_that_succeeds(time: Time) -> None:
    worker = Worker()
    worker.lease_lost.set()
    assert worker.retry(answers([7])) == 7


def test_a_stopped_worker_waits_ten_seconds_over_all_its_calls(time: Time) -> None:
    worker = Worker()
    worker.stop_requested.set()
    assert worker.retry(answers([*[AWAY] * 8, 7])) == 7  # 4 s
    with pytest.raises(DatabaseAwayError) as caught:
        worker.retry(answers([AWAY] * 100))
    assert caught.value is AWAY
    assert time.now == 110.0
    with pytest.raises(DatabaseAwayError):
        worker.retry(answers([AWAY] * 100))
    assert time.now == 110.0


def test_a_stop_request_comes_before_a_lost_lease_only_after_its_ten_seconds(time: Time) -> None:
    worker = Worker()
    worker.stop_requested.set()
    worker.lease_lost.set()
    with pytest.raises(TakenForDeadError):
        worker.retry(answers([AWAY]))
    time.now += 10.0
    with pytest.raises(DatabaseAwayError) as caught:
        worker.retry(answers([AWAY]))
    assert caught.value is AWAY


def test_the_ten_seconds_begin_with_the_first_attempt_that_fails_after_the_stop(time: Time) -> None:
    worker = Worker()
    worker.retry(answers([*[AWAY] * 100, 7]))
    worker.stop_requested.set()
    time.now += 1000.0
    assert worker.retry(answers([*[AWAY] * 19, 7])) == 7


def test_a_command_stops_at_once_on_request(time: Time) -> None:
    messages: list[str] = []
    retry = RetryPolicy.for_command(messages.append, lambda: len(time.pauses) == 2)
    with pytest.raises(DatabaseAwayError) as caught:
        retry(answers([AWAY] * 100))
    assert caught.value is AWAY
    assert (time.pauses, messages) == ([0.2, 0.2], [f"{AWAY}; waiting for it"])
