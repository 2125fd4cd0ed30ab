"""What further jobs will cost, by the speed of those that were trained here."""

import pytest

from rnnlab.cost.history import Cost, MeasuredSpeed, cost_of
from rnnlab.queue.job import NewJob, Status
from rnnlab.queue.reader import Progress

PROGRESS = [
    Progress("explore", "small", Status.DONE, True, 2, 200, 200, 10.0),
    Progress("explore", "small", Status.RUNNING, True, 1, 50, 100, 15.0),
    Progress("explore", "large", Status.DONE, True, 1, 100, 100, 100.0),
    Progress("explore", "imported", Status.DONE, False, 1, 100, 100, 0.1),
    Progress("refine", "large", Status.PENDING, False, 1, 0, 300, 0.0),
]


def test_each_group_at_its_own_speed() -> None:
    speed = MeasuredSpeed(PROGRESS)
    assert (speed.of("small"), speed.of("large"), speed.of("imported"), speed.of("never")) == (10.0, 1.0, None, None)
    assert speed.mean == 350 / 125
    assert speed.seconds_left(PROGRESS) == pytest.approx(50 / 10 + 300 / 1)


def test_cost() -> None:
    jobs = [NewJob("1", "{}", "small", 1000), NewJob("2", "{}", "large", 30), NewJob("3", "{}", "never", 7)]
    assert cost_of(jobs, MeasuredSpeed(PROGRESS)) == Cost(steps=1037, seconds=130.0, jobs=3, unmeasured=1)
    assert cost_of(jobs, MeasuredSpeed([])) == Cost(steps=1037, seconds=0.0, jobs=3, unmeasured=3)
