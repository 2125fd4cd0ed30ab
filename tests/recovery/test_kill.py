"""Acceptance: workers are killed and stopped in training; every job ends once, with the bits of a calm run."""

import signal
import time
from collections import Counter

from rnnlab.queue.job import Event, Status
from tests.recovery.harness import (
    LONG,
    SHORT_PART,
    Outcome,
    Site,
    assert_done_once,
    assert_same_bits,
    resume_command,
    wait_for,
)
from tests.support.store import register

RESCUE_SECONDS = 5.0  # the promised time from a worker's death until others train its jobs


def test_no_job_is_lost_or_done_twice(site: Site, long_reference: Outcome) -> None:
    site.init(LONG)
    flags = ("--cohort", "4", "--checkpoint-seconds", "0.2")
    killed, stopped, survivor = [site.start(*flags) for _ in range(3)]
    wait_for("three workers in mid-run", lambda: site.midway(3))
    victim, leaver = site.worker_of(killed), site.worker_of(stopped)

    killed.send(signal.SIGKILL)
    killed_at = time.time()
    resumed = wait_for("others have the jobs of the killed worker", lambda: _resumptions(site, victim))
    rescue_seconds = max(event.at for event in resumed) - killed_at
    print(f"{len(resumed)} jobs went on elsewhere {rescue_seconds:.2f} s after the kill")
    assert rescue_seconds < RESCUE_SECONDS

    stopped.send(signal.SIGTERM)
    assert stopped.wait() == 130
    assert resume_command(stopped)[0] == "worker"
    released = [event for event in site.events("released") if event.worker_id == leaver]
    assert released, "SIGTERM came too late to hit anything"

    assert survivor.wait() == 0, survivor.messages
    assert_done_once(site)
    assert_same_bits(site, long_reference)
    assert len(site.jobs()) == len(long_reference.checkpoints) == 16
    assert any(event.detail.startswith("step ") for event in resumed), "no job was hit after its first checkpoint"


def _resumptions(site: Site, victim: str | None) -> list[Event] | None:
    """Wait until all jobs of the victim have resumed; their new claims: by other workers, one epoch later."""
    rescued = {event.job_id: event.epoch for event in site.events("rescued") if event.worker_id == victim}
    resumed = [
        event
        for event in site.events("resumed")
        if event.job_id in rescued and event.epoch == rescued[event.job_id] + 1 and event.worker_id != victim
    ]
    left = [job for job in site.jobs(Status.RUNNING) if job.worker_id == victim]
    return resumed if rescued and not left and len(resumed) == len(rescued) else None


def test_of_a_cohort_that_kills_its_workers_each_job_is_tried_alone(site: Site, short_reference: Outcome) -> None:
    store = site.init(SHORT_PART).store()
    for worker_id in ("first", "second"):
        register(store, worker_id)
        assert len(store.claim(worker_id, 4)) == 4
        assert len(store.rescue(worker_id, "of a test")) == 4
    alone: list[tuple[int, int]] = []
    blocks: Counter[int] = Counter()  # by job

    def on_block() -> None:
        running = site.jobs(Status.RUNNING)
        alone.append((len(running), sum(job.deaths for job in running)))
        blocks.update(job.id for job in running)
        if blocks[running[0].id] == 2:
            # A thread writes the checkpoint of the first block; on a busy machine it could outlast the other blocks.
            wait_for("its first checkpoint", lambda: site.jobs(Status.RUNNING)[0].deaths == 0)

    view = site.train(on_block=on_block)
    assert set(view.blocks) == {1}
    assert alone[0] == (1, 2)
    assert alone.count((1, 0)) >= 4  # each has made progress
    assert_done_once(site)
    assert_same_bits(site, short_reference)
