"""The native kernels for tests: skipped where there is no C compiler, but CI has to have one."""

import os

import pytest

from rnnlab.kernels.build import NoKernelsError, load


def need_kernels() -> None:
    """Skip the test without kernels, or fail it in CI."""
    try:
        load()
    except NoKernelsError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI has to test the kernels: {error}")
        pytest.skip(f"no native kernels: {error}")
