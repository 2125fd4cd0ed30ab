"""One symbol a letter: lower-case a to z, and a space for every run of anything else.

The normalisation and the order of the vocabulary are those of "Dive into Deep Learning" 1.0 (Zhang, Lipton, Li, Smola;
text-sequence): all entries sorted as texts, so that the space is 0 and `<unk>` 1, before `a`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from rnnlab.data.splits import Fractions
from rnnlab.data.tokens import TokenIds, checked_ids

_SYMBOLS = sorted(["<unk>", " ", *"abcdefghijklmnopqrstuvwxyz"])
_NOT_LETTERS = re.compile(rb"[^A-Za-z]+")
_ID_OF = np.full(256, _SYMBOLS.index("<unk>"), dtype=np.uint8)  # by byte of a normalised text
for _place, _symbol in enumerate(_SYMBOLS):
    if len(_symbol) == 1:
        _ID_OF[ord(_symbol)] = _place


@dataclass(frozen=True)
class LetterTokenizer:
    """28 symbols, whatever the text; `<unk>` is never read, as every text can be normalised."""

    merges_characters = False
    vocabulary = None

    @classmethod
    def learned(cls, text: bytes, fractions: Fractions) -> Self:
        """Nothing has to be learned."""
        return cls()

    @classmethod
    def from_vocabulary(cls, vocabulary: str) -> Self:
        """Always the same one."""
        return cls()

    @property
    def vocabulary_size(self) -> int:
        """28: the space, `<unk>`, and 26 letters."""
        return len(_SYMBOLS)

    def encode(self, text: bytes) -> TokenIds:
        """uint8 [characters of the normalised text]. Letters beyond ASCII count as no letters."""
        return _ID_OF[np.frombuffer(normalised(text), dtype=np.uint8)]

    def decode(self, ids: TokenIds | Sequence[int]) -> bytes:
        """The normalised text.

        Raises ValueError for an id outside the vocabulary.
        """
        return "".join(_SYMBOLS[one] for one in checked_ids(ids, self.vocabulary_size)).encode()


def normalised(text: bytes) -> bytes:
    """Every run of what are no ASCII letters becomes one space, the rest lower case."""
    return _NOT_LETTERS.sub(b" ", text).lower()
