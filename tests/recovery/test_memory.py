"""Not enough memory for a cohort: smaller ones continue, and nothing is lost."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rnnlab.queue.job import Status
from rnnlab.training.cohort import Cohort
from tests.recovery.harness import SHORT_PART, Outcome, Site, assert_done_once, assert_same_bits

_LARGEST = 2  # members for which the simulated memory is enough


def _small_memory(patch: pytest.MonkeyPatch, error: Callable[[], Exception]) -> list[int]:
    run_block, sizes = Cohort.run_block, []

    def run(self: Cohort, max_steps: int, max_threads: int, should_stop: Callable[[], bool] = lambda: False) -> int:
        sizes.append(len(self))
        if len(self) > _LARGEST:
            raise error()
        return run_block(self, max_steps, max_threads, should_stop)

    patch.setattr(Cohort, "run_block", run)
    return sizes


@pytest.mark.parametrize(
    "error",
    [
        lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
        MemoryError,
    ],
    ids=["gpu", "cpu", "python"],
)
def test_a_cohort_that_is_too_large_is_halved_and_goes_on(
    error: Callable[[], Exception], site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        sizes = _small_memory(patch, error)
        view = site.init(SHORT_PART).train()
    assert max(sizes) > _LARGEST, "the cohort was never too large"
    assert "not enough memory for 4 jobs at once: continuing with 2" in view.text
    assert site.jobs(Status.FAILED) == []
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_a_job_that_does_not_fit_alone_fails_and_the_others_do_not(
    site: Site, short_reference: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        run_block = Cohort.run_block

        def run(self: Cohort, *arguments: Any) -> int:
            if any(config.settings["use_output_gate"] for config in self._configs):
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return run_block(self, *arguments)

        patch.setattr(Cohort, "run_block", run)
        site.init(SHORT_PART).train()
    failed = site.jobs(Status.FAILED)
    assert len(failed) == 2
    assert all("CUDA out of memory" in (job.error or "") for job in failed)
    assert_same_bits(site, short_reference, site.jobs(Status.DONE))
