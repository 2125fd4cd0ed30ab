"""More steps for finished jobs: the bits of a run that never stopped."""

from pathlib import Path

import pytest

from rnnlab.actions.extend import EXTENDED_ROUND, extend
from rnnlab.errors import CheckpointError, UsageError
from rnnlab.queue.job import Job, Status
from tests.recovery.harness import BLOCK_STEPS, EXPERIMENT, Outcome, Site, experiment_file

_SHORTER = experiment_file(windows=(2,), old_states=(False,))


def _extended(site: Site) -> list[Job]:
    return site.reader.jobs(EXPERIMENT, EXTENDED_ROUND)


def test_an_extended_job_ends_with_the_bytes_of_one_that_was_long_from_the_start(
    site: Site, short_reference: Outcome
) -> None:
    site.init(_SHORTER).train()
    short, store = site.jobs(), site.store()
    outcome = extend(store, site.workspace, short, 3)
    assert (outcome.added, outcome.known) == (4, 0)
    outcome = extend(store, site.workspace, short, 3)
    assert (outcome.added, outcome.known) == (0, 4)

    blocks = site.train().blocks
    assert len(blocks) * BLOCK_STEPS < 2 * short[0].step, "they began from the start"
    assert [job.status for job in _extended(site)] == [Status.DONE] * 4
    curves = site.reader.curves(EXPERIMENT)
    for job in _extended(site):
        assert job.result is not None
        final = site.workspace.results_dir / job.result["checkpoint"]
        assert final.read_bytes() == short_reference.checkpoints[job.config_hash]
        assert curves[job.id] == short_reference.curves[job.config_hash]
    # Their parents are unchanged.
    assert [job.result for job in site.jobs()] == [job.result for job in short]


def test_a_job_that_cannot_be_extended_is_an_error_and_nothing_is_added(site: Site) -> None:
    site.init(_SHORTER).train(max_jobs=2)
    done, store = site.jobs(Status.DONE), site.store()
    with pytest.raises(UsageError, match="is pending: only jobs that are done"):
        extend(store, site.workspace, [*done, *site.jobs(Status.PENDING)], 3)
    with pytest.raises(UsageError, match=r"--windows 2: job \d+ already has 2"):
        extend(store, site.workspace, done, 2)
    assert done[1].result is not None
    Path(site.workspace.results_dir / done[1].result["checkpoint"]).unlink()
    with pytest.raises(CheckpointError, match=f"job {done[1].id} has no final checkpoint"):
        extend(store, site.workspace, done, 3)
    assert _extended(site) == []
    assert not (site.workspace.results_dir / EXPERIMENT / EXTENDED_ROUND).exists()
