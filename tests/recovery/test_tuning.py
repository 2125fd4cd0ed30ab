"""A worker that measures its cohort sizes has other cohorts but the same bits."""

import pytest

from rnnlab.training.cohort_size import tuning
from rnnlab.training.cohort_size.measured_sizes import default_path
from tests.recovery.harness import SHORT, Outcome, Site, assert_done_once, assert_same_bits


@pytest.fixture
def everything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_SMALL_RUN_FLOPS", 0.0)
    monkeypatch.setattr(tuning, "_MEASURED_SECONDS", 0.01)
    default_path().unlink(missing_ok=True)


def test_measured_cohorts_give_the_same_bits(
    site: Site, short_reference: Outcome, everything_is_measured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    patched = tuning.CohortSizes._model_steps_per_second

    def best_alone(self: tuning.CohortSizes, config: object, size: int, max_threads: int) -> float:
        patched(self, config, size, max_threads)  # type: ignore[arg-type]
        return 1000 / size

    monkeypatch.setattr(tuning.CohortSizes, "_model_steps_per_second", best_alone)
    view = site.init(SHORT).train()
    assert max(view.blocks) == 1
    assert view.text.count("cohorts of 1 measured best for group ") == 1
    assert_done_once(site)
    assert_same_bits(site, short_reference)


def test_the_users_size_is_not_measured(site: Site, everything_is_measured: None) -> None:
    view = site.init(SHORT).train(cohort_size=3)
    assert max(view.blocks) == 3
    assert "measured best" not in view.text
    assert not default_path().exists()
