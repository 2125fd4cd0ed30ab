"""What computes the training steps: the native kernels, or torch where there is no C compiler."""

import pytest

from tests.support.kernels import need_kernels


@pytest.fixture
def kernels() -> None:
    """The test needs the kernels."""
    need_kernels()


@pytest.fixture(params=["native", "torch"])
def arithmetic(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with each of them."""
    chosen: str = request.param
    if chosen == "torch":
        monkeypatch.setenv("RNNLAB_KERNELS", "torch")
    else:
        need_kernels()
    return chosen
