"""The `[reproduction]` table of an experiment file: runs that somebody has published, and what came of them there."""

from typing import Annotated

from pydantic import Field, model_validator

from rnnlab.spec.settings import Count, Scalar, Settings


class PublishedRun(Settings):
    """One run that was published: its settings, and the numbers that were reported of it."""

    name: Annotated[str, Field(min_length=1)]
    """For people; names differ."""
    set: dict[str, Scalar]
    """Settings beside those of `[model]` and `[training]`."""
    reported: dict[str, float] = Field(min_length=1)
    """Number of a result, for example `held_out_perplexity` = what was published."""
    note: str = ""
    """What a reader has to know of this run."""


class Reproduction(Settings):
    """The published runs of a study, and how near is near enough."""

    source: str
    """Where the numbers come from."""
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    """Largest relative difference that counts as reproduced."""
    because: str
    """Why this tolerance."""
    seeds: Count = 1
    """Each run is repeated over the seeds 0 to so many less one."""
    runs: list[PublishedRun] = Field(min_length=1)
    """What was published."""

    @model_validator(mode="after")
    def _names_differ(self) -> "Reproduction":
        names = [run.name for run in self.runs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two runs are called {name!r}: give each a name of its own")
        return self
