"""Several hosts: a job whose checkpoint this host cannot see is not trained again."""

import pytest

from rnnlab.errors import CheckpointError
from rnnlab.queue.job import Status
from tests.recovery.harness import SHORT_PART, Site, View


def test_a_checkpoint_of_another_host_that_cannot_be_seen_is_an_error(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.init(SHORT_PART)
    view = View()
    with monkeypatch.context() as patch:
        patch.setattr("rnnlab.queue.liveness.host_name", lambda: "elsewhere")
        with site.worker(view, checkpoint_seconds=0) as worker:
            view.on_block = lambda: worker.stop_requested.set() if len(view.blocks) == 2 else None
            worker.run()
    steps = [job.step for job in site.jobs()]
    assert min(steps) > 0
    for job in site.jobs():
        for path in site.checkpoints(job):
            path.unlink()
    for _ in range(2):  # the second time its last owner was a worker of this host
        with (
            site.worker(View()) as worker,
            pytest.raises(CheckpointError, match=r"a worker on host elsewhere has trained .* share the results folder"),
        ):
            worker.run()
    # Nothing is lost: the jobs are at the same steps.
    assert [(job.status, job.step) for job in site.jobs()] == [(Status.PENDING, step) for step in steps]
