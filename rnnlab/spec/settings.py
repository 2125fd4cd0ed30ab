"""The settings of one run, as pydantic models: what may be written, its unit, its legal range."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Scalar = bool | int | float | str


class Settings(BaseModel):
    """A frozen table of settings; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    # Settings in which the members of one cohort may differ: they change no shape.
    free_in_cohort: ClassVar[frozenset[str]] = frozenset()


class CorpusSettings(Settings):
    """The text, identified by its contents: `name` is for people, `sha256` is what counts."""

    name: Annotated[str, Field(min_length=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class TokenizerSettings(Settings):
    """How text becomes symbols. `bytes`: vocabulary 256, one symbol a byte."""

    kind: Literal["bytes"] = "bytes"


class SplitSettings(Settings):
    """Contiguous fractions of the corpus, in this order; they add up to 1. Test 0: there is no test split."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.9
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.05
    test: Annotated[float, Field(ge=0, lt=1)] = 0.05

    @model_validator(mode="after")
    def _adds_up(self) -> "SplitSettings":
        total = self.train + self.validation + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train + validation + test = {total:g}, but the fractions must add up to 1")
        return self


class EvaluationSettings(Settings):
    """Loss on each split: over at most `windows` windows as long as in training.

    They are evenly spaced and do not overlap; a run that trains on random windows is evaluated on random ones.
    """

    windows: Count = 64
