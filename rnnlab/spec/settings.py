"""The settings of one run, as pydantic models: type, unit and allowed range of each."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = bool | int | float | str


class Settings(BaseModel):
    """A frozen table of settings. An unknown key, or a value of another type, is an error."""

    # The docstring below a field is its description; docs/settings.md is generated from these.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    # Settings in which the members of one cohort may differ, because they do not change a shape.
    free_in_cohort: ClassVar[frozenset[str]] = frozenset()
    # Setting -> the value with which it is left out of the canonical JSON. For settings added after the first release:
    # runs with the value that all earlier runs had keep their hashes.
    omitted_from_hash: ClassVar[dict[str, Scalar]] = {}


class CorpusSettings(Settings):
    """The text of a run. `sha256` identifies it; `name` is for display only."""

    name: Annotated[str, Field(min_length=1)]
    sha256: Sha256


class FixedVocabulary(Settings):
    """A tokenizer with a fixed vocabulary, independent of the corpus."""

    @property
    def vocabulary_sha256(self) -> str | None:
        """Always None: no vocabulary is learned."""
        return None


class ByteSettings(FixedVocabulary):
    """`bytes`: vocabulary of 256, one symbol per byte."""

    kind: Literal["bytes"] = "bytes"


class LetterSettings(FixedVocabulary):
    """`letters`: vocabulary of 28, one symbol per lower-case letter; each run of other characters is one space."""

    kind: Literal["letters"] = "letters"


class LearnedVocabulary(Settings):
    """A tokenizer whose vocabulary `rnnlab init` learns from the corpus, once."""

    kind: str
    vocabulary: Sha256 | None = None
    """SHA-256 of the vocabulary. If given, `rnnlab init` fails for any other vocabulary."""

    @property
    def vocabulary_sha256(self) -> str | None:
        """The hash of the learned vocabulary; None in an experiment file before the vocabulary is learned."""
        return self.vocabulary


class CharacterSettings(LearnedVocabulary):
    """`characters`: one symbol per distinct character of the corpus, sorted."""

    kind: Literal["characters"] = "characters"
    padding: bool = False
    """Add a padding symbol with id 0, which never occurs in encoded text."""


class BpeSettings(LearnedVocabulary):
    """`bpe`: byte-pair encoding of bytes, learned from the training split."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: Annotated[int, Field(ge=257, le=65_536)]
    """Number of symbols: 256 bytes and the merged pairs."""


def _tokenizer_kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return str(value.get("kind", "bytes"))
    return getattr(value, "kind", None)


TokenizerSettings = Annotated[
    Annotated[ByteSettings, Tag("bytes")]
    | Annotated[CharacterSettings, Tag("characters")]
    | Annotated[LetterSettings, Tag("letters")]
    | Annotated[BpeSettings, Tag("bpe")],
    Discriminator(_tokenizer_kind),
]

# One entry per tokenizer; rnnlab/data/tokenizer.py has the implementations under the same names.
TOKENIZER_SETTINGS: dict[str, type[Settings]] = {
    "bytes": ByteSettings,
    "characters": CharacterSettings,
    "letters": LetterSettings,
    "bpe": BpeSettings,
}


class SplitSettings(Settings):
    """Contiguous fractions of the corpus, in this order. They must add up to 1."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Fraction of the text for training, from its start."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Fraction for validation, after the training split."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Fraction for testing, the rest. 0: no test split."""

    @model_validator(mode="after")
    def _adds_up(self) -> "SplitSettings":
        total = self.train + self.validation + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train + validation + test = {total:g}, but the fractions must add up to 1")
        return self


class EvaluationSettings(Settings):
    """Evaluation of the loss on each split, over at most `windows` windows of the training length.

    The windows are evenly spaced and do not overlap. For a run that trains on random windows, they are drawn at
    random, the same ones for every seed.
    """

    windows: Count = 64
    """Maximum number of windows per split."""
