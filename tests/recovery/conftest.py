"""References: the results of the jobs without disturbances."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.queue.conftest import skip_or_fail
from tests.recovery.harness import BLOCK_STEPS, LONG, SHORT, Outcome, Site, assert_done_once
from tests.support.postgres_server import PostgresServer


@pytest.fixture(scope="package", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A private folder of corpora, and no settings of the user.

    Each process has one thread: such small jobs do not gain from two, especially with other processes running.
    """
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNLAB_DATA", str(tmp_path_factory.mktemp("data")))
        for name in ("RNNLAB_DB", "RNNLAB_RESULTS", "RNNLAB_PLOTS"):
            patch.delenv(name, raising=False)
        patch.setenv("OMP_THREAD_LIMIT", "1")  # for new processes; this one has already read it
        patch.setattr("rnnlab.worker.cohort_scheduler.threads_for", lambda config, live_workers: 1)
        patch.setattr("rnnlab.worker.cohort_scheduler._BLOCK_STEPS", BLOCK_STEPS)
        patch.setattr(
            "rnnlab.worker.cohort_scheduler._BLOCK_SECONDS", 60.0
        )  # so that all blocks have these steps, even if they are slow
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def server() -> Iterator[PostgresServer]:
    """A server that tests may stop and restart."""
    skip_or_fail()
    with PostgresServer() as server:
        yield server


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Creates results folders; their processes end with the test."""
    sites: list[Site] = []

    def make(**places: Any) -> Site:
        sites.append(Site(tmp_path / f"site {len(sites)}", **places))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(new_site: Callable[..., Site]) -> Site:
    """An empty results folder."""
    return new_site()


@pytest.fixture(scope="package")
def long_reference(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The long jobs, trained by one worker process without disturbances."""
    site = Site(tmp_path_factory.mktemp("long")).init(LONG)
    try:
        site.finish()
        assert_done_once(site)
        assert {job.epoch for job in site.jobs()} == {1}
        return site.outcome()
    finally:
        site.close()


@pytest.fixture(scope="package")
def short_reference(surroundings: None, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The short jobs, each trained alone."""
    site = Site(tmp_path_factory.mktemp("short")).init(SHORT)
    try:
        site.train(cohort_size=1)
        assert_done_once(site)
        return site.outcome()
    finally:
        site.close()
