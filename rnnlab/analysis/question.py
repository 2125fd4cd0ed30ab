"""What the analysis of an experiment is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Question:
    """The metric that ranks the runs, and what about it is of interest."""

    metric: str = "min_loss"  # a number of the result, lower is better
    threshold: float | None = None  # of the metric; the runs below it get their own picture
    threshold_meaning: str = ""  # what it means to be below the threshold: "the memory is in use"
    about: Sequence[str] = ()  # settings whose effects the report gives first
    focus: Mapping[str, Any] = field(
        default_factory=dict
    )  # setting -> value: runs with a table of effects of their own
