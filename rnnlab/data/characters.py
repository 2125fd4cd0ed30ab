"""One symbol per character: the distinct characters of the corpus, sorted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from rnnlab.data.splits import Fractions
from rnnlab.data.tokens import TokenIds, checked_ids, smallest_type
from rnnlab.errors import UsageError

_PADDING = ""  # stands for no text, and does not occur in encoded text


@dataclass(frozen=True)
class CharacterTokenizer:
    """The id of a character is its index in `characters`. A padding symbol may precede them, with id 0."""

    characters: tuple[str, ...]  # sorted; the padding symbol, if any, is the empty string
    merges_characters = False

    @classmethod
    def learn(cls, text: bytes, fractions: Fractions, *, padding: bool = False) -> Self:
        """The vocabulary of the whole text, including held-out parts, as in the published studies.

        Raises UsageError if the text is not UTF-8.
        """
        return cls((*([_PADDING] if padding else []), *sorted(set(_decoded(text)))))

    @classmethod
    def from_vocabulary(cls, vocabulary: str) -> Self:
        """From a value of `vocabulary`: a JSON list of the characters."""
        return cls(tuple(json.loads(vocabulary)))

    @property
    def vocabulary(self) -> str:
        """Everything that must be stored, as JSON."""
        return json.dumps(self.characters, separators=(",", ":"))

    @property
    def vocabulary_size(self) -> int:
        """The number of distinct characters, plus the padding symbol if there is one."""
        return len(self.characters)

    def encode(self, text: bytes) -> TokenIds:
        """Ids [characters of `text`].

        Raises UsageError if the text is not UTF-8, or has a character that is not in the vocabulary.
        """
        points = _code_points(_decoded(text))
        known = points < len(self._id_of)
        ids = self._id_of[np.where(known, points, 0)]
        missing = ~known | (ids < 0)
        if missing.any():
            character = chr(int(points[missing.argmax()]))
            raise UsageError(
                f"the character {character!r} (U+{ord(character):04X}) is not in the vocabulary, which has the "
                f"{sum(map(bool, self.characters)):,} characters of its corpus"
            )
        return ids.astype(smallest_type(self.vocabulary_size))

    def decode(self, ids: TokenIds | Sequence[int]) -> bytes:
        """The characters as UTF-8; padding gives nothing.

        Raises ValueError for an id outside the vocabulary.
        """
        return "".join(self.characters[one] for one in checked_ids(ids, self.vocabulary_size)).encode()

    @cached_property
    def _id_of(self) -> npt.NDArray[np.int32]:
        """Code point -> id; -1 for characters that are not in the vocabulary."""
        ids = np.full(max((ord(one) for one in self.characters if one), default=0) + 1, -1, dtype=np.int32)
        for place, character in enumerate(self.characters):
            if character != _PADDING:
                ids[ord(character)] = place
        return ids


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the text is not UTF-8 (byte 0x{text[error.start]:02x} at position {error.start:,}): the tokenizer "
            '"characters" needs UTF-8, "bytes" and "bpe" take any text'
        ) from error


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
