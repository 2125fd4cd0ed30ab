"""Tests have the same names in every process: two processes share a run, and refuse to when their lists differ."""

import os
import subprocess
import sys
import time

import pytest


def test_a_later_process_with_other_hashes_collects_the_same_tests(request: pytest.FixtureRequest) -> None:
    here = {item.nodeid for item in request.session.items}
    files = sorted({name.partition("::")[0] for name in here})
    time.sleep(1.1)  # what is made from the time, as the head of a gzip file is, would be the same within a second
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=", "-p", "no:cacheprovider", *files],
        cwd=request.config.rootpath,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert here <= set(done.stdout.splitlines())
