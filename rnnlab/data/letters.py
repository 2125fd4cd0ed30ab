"""One symbol per letter: lower-case a to z, and a space for every sequence of other characters.

The normalization and the order of the vocabulary are those of "Dive into Deep Learning" 1.0 (Zhang, Lipton, Li, Smola;
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
_ID_OF = np.full(256, _SYMBOLS.index("<unk>"), dtype=np.uint8)  # by byte of a normalized text
for _place, _symbol in enumerate(_SYMBOLS):
    if len(_symbol) == 1:
        _ID_OF[ord(_symbol)] = _place


@dataclass(frozen=True)
class LetterTokenizer:
    """28 symbols, whatever the text. `<unk>` never occurs, because every text can be normalized."""

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
        """28: the space, `<unk>`, and 26 letters."""
        return len(_SYMBOLS)

    def encode(self, text: bytes) -> TokenIds:
        """uint8 [characters of the normalized text]. Only ASCII letters count as letters."""
        return _ID_OF[np.frombuffer(normalized(text), dtype=np.uint8)]

    def decode(self, ids: TokenIds | Sequence[int]) -> bytes:
        """The normalized text.

        Raises ValueError for an id outside the vocabulary.
        """
        return "".join(_SYMBOLS[one] for one in checked_ids(ids, self.vocabulary_size)).encode()


def normalized(text: bytes) -> bytes:
    """The text in lower case, with each sequence of other characters than ASCII letters replaced by one space."""
    return _NOT_LETTERS.sub(b" ", text).lower()
