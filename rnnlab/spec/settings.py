"""The settings of one run, as pydantic models: what may be written, its unit, its legal range."""

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Scalar = bool | int | float | str


class Settings(BaseModel):
    """A frozen table of settings; an unknown key or a value of another type is an error."""

    # A text below a field says what it is: docs/settings.md is made of them.
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    # Settings in which the members of one cohort may differ: they change no shape.
    free_in_cohort: ClassVar[frozenset[str]] = frozenset()
    # Settings that came later, with the value that all runs before them had. With it they are not part of the
    # canonical JSON, so that those runs keep their hashes.
    came_later: ClassVar[dict[str, Scalar]] = {}


class CorpusSettings(Settings):
    """The text, identified by its contents: `name` is for people, `sha256` is what counts."""

    name: Annotated[str, Field(min_length=1)]
    sha256: Sha256


class FixedVocabulary(Settings):
    """A tokenizer that learns nothing from the corpus."""

    @property
    def vocabulary_sha256(self) -> str | None:
        """The hash of the learned vocabulary; None where nothing is learned."""
        return None


class ByteSettings(FixedVocabulary):
    """`bytes`: vocabulary 256, one symbol a byte."""

    kind: Literal["bytes"] = "bytes"


class LetterSettings(FixedVocabulary):
    """`letters`: vocabulary 28, one symbol a lower-case letter; everything else is one space a run."""

    kind: Literal["letters"] = "letters"


class LearnedVocabulary(Settings):
    """A tokenizer whose vocabulary is made from the corpus, once, by `rnnlab init`."""

    kind: str
    vocabulary: Sha256 | None = None
    """Hash of the vocabulary; a file that gives it insists on it."""

    @property
    def vocabulary_sha256(self) -> str | None:
        """The hash of the learned vocabulary; None in an experiment file, where it is not decided yet."""
        return self.vocabulary


class CharacterSettings(LearnedVocabulary):
    """`characters`: one symbol a character, the distinct ones of the corpus, sorted."""

    kind: Literal["characters"] = "characters"
    padding: bool = False
    """One symbol more, id 0, that no text is encoded as."""


class PairSettings(LearnedVocabulary):
    """`bpe`: byte-pair encoding of bytes, learned from the training split."""

    kind: Literal["bpe"] = "bpe"
    vocab_size: Annotated[int, Field(ge=257, le=65_536)]
    """Symbols: 256 bytes and what is merged of them."""


def _tokenizer_kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return str(value.get("kind", "bytes"))
    return getattr(value, "kind", None)


TokenizerSettings = Annotated[
    Annotated[ByteSettings, Tag("bytes")]
    | Annotated[CharacterSettings, Tag("characters")]
    | Annotated[LetterSettings, Tag("letters")]
    | Annotated[PairSettings, Tag("bpe")],
    Discriminator(_tokenizer_kind),
]

# One entry a tokenizer; rnnlab/data/tokenizer.py has the classes of the same kinds.
TOKENIZER_SETTINGS: dict[str, type[Settings]] = {
    "bytes": ByteSettings,
    "characters": CharacterSettings,
    "letters": LetterSettings,
    "bpe": PairSettings,
}


class SplitSettings(Settings):
    """Contiguous fractions of the corpus, in this order; they add up to 1. Test 0: there is no test split."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """Share of the text that is trained on, from its start."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """The share that follows."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """The rest; 0: there is no test split."""

    @model_validator(mode="after")
    def _adds_up(self) -> "SplitSettings":
        total = self.train + self.validation + self.test
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"train + validation + test = {total:g}, but the fractions must add up to 1")
        return self


class EvaluationSettings(Settings):
    """Loss on each split: over at most `windows` windows as long as in training.

    They are evenly spaced and do not overlap; for a run that trains on random windows they are drawn at random, the
    same ones for every seed.
    """

    windows: Count = 64
    """At most so many windows of each split."""
