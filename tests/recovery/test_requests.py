"""Requests of operators for running jobs: pause, resume, cancel."""

import pytest

from rnnlab.queue.job import Status
from tests.recovery.harness import (
    BLOCK_STEPS,
    SHORT_PART,
    Outcome,
    Site,
    View,
    assert_done_once,
    assert_same_bits,
)


@pytest.mark.parametrize("request_name", ["pause", "cancel"])
def test_a_running_job_leaves_with_a_checkpoint_and_its_neighbors_continue(
    request_name: str, site: Site, short_reference: Outcome
) -> None:
    store = site.init(SHORT_PART).store()
    first = site.jobs()[0].id
    view = View()
    with site.worker(view) as worker:

        def on_block() -> None:
            if len(view.blocks) == 2:
                getattr(store, request_name)([first])

        view.on_block = on_block
        worker.run()  # no worker waits for a paused job
    left = site.reader.job(first)
    assert left is not None
    assert left.status is (Status.PAUSED if request_name == "pause" else Status.CANCELLED)
    assert left.step == 2 * BLOCK_STEPS
    assert len(site.jobs(Status.DONE)) == 3
    assert {job.epoch for job in site.jobs(Status.DONE)} == {1}
    assert f"job {first} is {left.status}" in view.text

    again = store.resume if request_name == "pause" else store.retry
    again([first])
    site.train()
    assert_done_once(site)
    assert_same_bits(site, short_reference)
    assert f"step {2 * BLOCK_STEPS}" in site.log(left)
