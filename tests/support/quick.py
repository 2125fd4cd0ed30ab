"""Which tests are quick: `pytest -m quick` is what a contributor runs before a commit, in under a minute on two cores.

Not quick are tests that start processes, servers or browsers, that train for long, or that draw many pictures.
"""

from pathlib import PurePosixPath

# Folders and files below tests/.
_SLOW = (
    "benchmarks",
    "cli",
    "gpu",
    "recovery",
    "queue/test_claim.py",
    "queue/test_heartbeat.py",
    "queue/test_insertion.py",
    "queue/test_liveness.py",
    "queue/test_migration.py",
    "queue/test_postgres.py",
    "queue/test_reading.py",
    "queue/test_state_machine.py",
    "analysis/html/test_page.py",
    "analysis/html/test_page_in_browser.py",
    "analysis/plots",
    "analysis/test_report.py",
    "cost/test_estimate.py",
    "data/test_corpus_fetch.py",
    "kernels/test_build.py",
    "oracle/test_bitwise.py",
    "oracle/test_bitwise_bptt.py",
    "oracle/test_capture.py",
    "oracle/test_cell_check.py",
    "oracle/test_native.py",
    "oracle/test_online_step.py",
    "oracle/test_training.py",
    "test_collection.py",
    "test_pages.py",
    "test_shape_letters.py",
    "training/cohort_size/test_tuning.py",
)
_SLOW_FIXTURES = {"postgres_server", "postgres_url"}
_SLOW_MARKERS = {"storm", "study", "gpu", "slow"}


def is_quick(path: str, parameters: set[str], fixtures: set[str], markers: set[str]) -> bool:
    """Whether a test is quick.

    path: of its file, below tests/. parameters: the parts of its identifier in brackets. markers: by name.
    """
    if fixtures & _SLOW_FIXTURES or markers & _SLOW_MARKERS or "postgresql" in parameters:
        return False
    return not any(PurePosixPath(path).is_relative_to(slow) for slow in _SLOW)
