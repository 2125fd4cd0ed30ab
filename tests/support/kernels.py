"""The native kernels in tests: skipped without a C compiler, except in CI, which must have one."""

import os

import pytest

from rnnlab.kernels.build import NoKernelsError, load


def need_kernels() -> None:
    """Skip the test without kernels, or fail it in CI."""
    try:
        load()
    except NoKernelsError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI must test the kernels: {error}")
        pytest.skip(f"no native kernels: {error}")
