"""The `[reproduction]` table of an experiment file: published runs and their published results."""

from typing import Annotated

from pydantic import Field, model_validator

from rnnlab.spec.settings import Count, Scalar, Settings


class PublishedRun(Settings):
    """One published run: its settings and the results reported for it."""

    name: Annotated[str, Field(min_length=1)]
    """Shown in tables; must be unique."""
    set: dict[str, Scalar]
    """Settings in addition to those of `[model]` and `[training]`."""
    reported: dict[str, float] = Field(min_length=1)
    """Metric = published value; the metric is, for example, `held_out_perplexity`."""
    note: str = ""
    """Remarks on this run, for readers of the table."""


class Reproduction(Settings):
    """The published runs of a study, and the tolerance of the comparison."""

    source: str
    """Source of the numbers."""
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    """Largest relative difference that counts as reproduced."""
    because: str
    """Reason for this tolerance."""
    seeds: Count = 1
    """Number of seeds n; each run is repeated with the seeds 0 to n - 1."""
    runs: list[PublishedRun] = Field(min_length=1)
    """The published runs."""

    @model_validator(mode="after")
    def _names_differ(self) -> "Reproduction":
        names = [run.name for run in self.runs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two runs are called {name!r}: give each run a unique name")
        return self
