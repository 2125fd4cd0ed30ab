"""Frames of the published rounds, read once."""

import functools

import pandas as pd
import pytest

from rnnlab.analysis.results_frame import results_frame
from tests.support.made_up_page import MadeUpPage, made_up_page
from tests.support.published_runs import published_jobs


@functools.cache
def _frame(number: int) -> pd.DataFrame:
    return results_frame(published_jobs(number))


@pytest.fixture
def explore() -> pd.DataFrame:
    """The 432 published runs of round 1."""
    return _frame(1).copy()


@pytest.fixture
def refine() -> pd.DataFrame:
    """The 156 published runs of round 2."""
    return _frame(2).copy()


@pytest.fixture
def replicate() -> pd.DataFrame:
    """The 99 published runs of round 3."""
    return _frame(3).copy()


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> MadeUpPage:
    """A page of two rounds; tests leave it as it is."""
    return made_up_page(tmp_path_factory.mktemp("page"))
