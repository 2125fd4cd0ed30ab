"""Fixtures for tests of the training steps by the native kernels and by torch."""

import pytest

from tests.support.kernels import need_kernels


@pytest.fixture
def kernels() -> None:
    """Skips the test if there are no kernels."""
    need_kernels()


@pytest.fixture(params=["native", "torch"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs the test with the native kernels and with torch."""
    chosen: str = request.param
    if chosen == "torch":
        monkeypatch.setenv("RNNLAB_KERNELS", "torch")
    else:
        need_kernels()
    return chosen
