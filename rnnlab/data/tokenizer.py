"""From bytes to token ids and back.

A tokenizer is one class and one entry of TOKENIZERS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from rnnlab.data.bpe import BpeTokenizer
from rnnlab.data.characters import CharacterTokenizer
from rnnlab.data.letters import LetterTokenizer
from rnnlab.data.splits import Fractions, Splits, split
from rnnlab.data.tokens import TokenIds
from rnnlab.errors import UsageError
from rnnlab.files import sha256_hex


class Tokenizer(Protocol):
    """The interface of tokenizers. Equal tokenizers are interchangeable, and hashable."""

    @classmethod
    def learn(cls, text: bytes, fractions: Fractions, *args: Any, **settings: Any) -> Self:
        """The tokenizer for a corpus with these splits; `settings` are those of its kind, if it has any.

        Raises UsageError if the text is not suitable.
        """

    @classmethod
    def from_vocabulary(cls, vocabulary: str) -> Self:
        """The tokenizer with this `vocabulary`."""

    @property
    def vocabulary(self) -> str | None:
        """What was learned, as a string that can be stored; None for a tokenizer that learns nothing."""

    @property
    def vocabulary_size(self) -> int:
        """The number of token ids, which are 0 .. vocabulary_size - 1."""

    @property
    def merges_characters(self) -> bool:
        """Whether a symbol can stand for several characters. If so, a text is split before it is encoded."""

    def __hash__(self) -> int: ...

    def encode(self, text: bytes) -> TokenIds:
        """The ids of `text` as an array [tokens] of a small integer type.

        Raises UsageError for a text that the vocabulary cannot express.
        """

    def decode(self, ids: TokenIds | Sequence[int]) -> bytes:
        """The text of `ids`.

        Raises ValueError for an id outside the vocabulary.
        """


@dataclass(frozen=True)
class ByteTokenizer:
    """Each byte is a token: any file can be encoded, and nothing is learned."""

    merges_characters = False
    vocabulary = None

    @classmethod
    def learn(cls, text: bytes, fractions: Fractions) -> Self:
        """The tokenizer; it learns nothing."""
        return cls()

    @classmethod
    def from_vocabulary(cls, vocabulary: str) -> Self:
        """The tokenizer; there is only one."""
        return cls()

    @property
    def vocabulary_size(self) -> int:
        """256, whatever the text."""
        return 256

    def encode(self, text: bytes) -> TokenIds:
        """uint8 [bytes of `text`]; shares the memory of `text` and is therefore read-only."""
        return np.frombuffer(text, dtype=np.uint8)

    def decode(self, ids: TokenIds | Sequence[int]) -> bytes:
        """The bytes whose values are `ids`.

        Raises ValueError for an id outside 0..255.
        """
        return bytes(np.asarray(ids, dtype=np.int64).tolist())


TOKENIZERS: dict[str, type[Tokenizer]] = {
    "bytes": ByteTokenizer,
    "characters": CharacterTokenizer,
    "letters": LetterTokenizer,
    "bpe": BpeTokenizer,
}


def learn_tokenizer(kind: str, text: bytes, fractions: Fractions, settings: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of this kind for a corpus: `text`, and the fractions of its splits.

    Raises UsageError if there is no such kind, or if the text is not suitable.
    """
    return _class_of(kind).learn(text, fractions, **settings)


def make_tokenizer(kind: str, vocabulary: str | None = None, vocabulary_sha256: str | None = None) -> Tokenizer:
    """The tokenizer of this kind with a stored vocabulary, verified against the hash of a run config.

    Raises UsageError for an unknown kind, and for a vocabulary that is missing or is a different one.
    """
    found = None if vocabulary is None else sha256_hex(vocabulary.encode())
    if found != vocabulary_sha256:
        raise UsageError(
            f"the vocabulary does not match: the run has {_named(vocabulary_sha256)} of tokenizer {kind!r}, but "
            f"{_named(found)} was found; use the checkpoint and the job table of the same experiment"
        )
    return _class_of(kind).from_vocabulary(vocabulary or "")


def encoded_splits(text: bytes, tokenizer: Tokenizer, fractions: Fractions, corpus: str) -> Splits[TokenIds]:
    """The splits of `text` as ids; `corpus` is a name for the message.

    Fractions count the units of the text: bytes for `bytes` and `bpe`, which thus hold out the same text, characters
    for `characters`, characters of the normalized text for `letters`.

    Raises CorpusError if a split with a fraction above 0 is empty, UsageError if the vocabulary cannot express a text.
    """
    if not tokenizer.merges_characters:
        return split(tokenizer.encode(text), fractions, need=1, corpus=corpus)
    parts = split(text, fractions, need=1, corpus=corpus)
    return Splits(*(tokenizer.encode(part) for part in (parts.train, parts.validation, parts.test)))


def _class_of(kind: str) -> type[Tokenizer]:
    if kind not in TOKENIZERS:
        raise UsageError(f"there is no tokenizer {kind!r}; known tokenizers: {', '.join(TOKENIZERS)}")
    return TOKENIZERS[kind]


def _named(sha256: str | None) -> str:
    return "no vocabulary" if sha256 is None else f"vocabulary {sha256[:12]}"
