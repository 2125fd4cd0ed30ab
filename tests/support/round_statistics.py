"""A table of jobs as the objects that the analysis works on."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rnnlab.analysis.question import Question
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.round_statistics import RoundStatistics


def runs_of(frame: pd.DataFrame, metric: str = "min_loss", **question: Any) -> Runs:
    """The runs of a table from `results_frame`. question: other fields of `Question`."""
    return Runs(frame, Question(metric, **question))


def statistics_of(
    frame: pd.DataFrame, metric: str = "min_loss", other_rounds: Sequence[Runs] = (), **question: Any
) -> RoundStatistics:
    """The statistics of the same runs."""
    return RoundStatistics(runs_of(frame, metric, **question), other_rounds)
