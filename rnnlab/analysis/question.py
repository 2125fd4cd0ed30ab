"""What the analysis of an experiment is about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Question:
    """The metric that decides, and what about it is of interest."""

    metric: str = "min_loss"  # a number of the result, lower is better
    threshold: float | None = None  # of the metric; the runs below it get a picture of their own
    threshold_meaning: str = ""  # what being below says about a run: "the memory is in use"
    focus: Mapping[str, Any] = field(default_factory=dict)  # a second table of effects, of the runs with these settings
