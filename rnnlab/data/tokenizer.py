"""From bytes to token ids and back.

A tokenizer is one class and one entry of TOKENIZERS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rnnlab.errors import UsageError

TokenIds = npt.NDArray[np.integer[Any]]


class Tokenizer(Protocol):
    """What training and sampling need of a tokenizer. Equal tokenizers are interchangeable, and hashable."""

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids, which are 0 .. vocabulary_size - 1."""

    def __hash__(self) -> int: ...

    def encode(self, text: bytes) -> TokenIds:
        """The ids of `text` as an array [tokens] of the smallest integer type that holds them."""

    def decode(self, ids: TokenIds | Sequence[int]) -> bytes:
        """The text of `ids`.

        Raises ValueError for an id outside the vocabulary.
        """


@dataclass(frozen=True)
class ByteTokenizer:
    """Each byte is its own token: any file can be encoded, and nothing has to be learned from it."""

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


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {"bytes": ByteTokenizer}


def make_tokenizer(name: str) -> Tokenizer:
    """The tokenizer that an experiment calls `name`.

    Raises UsageError for a name that is not in TOKENIZERS.
    """
    if name not in TOKENIZERS:
        raise UsageError(f"no tokenizer {name!r}: known tokenizers are {', '.join(TOKENIZERS)}")
    return TOKENIZERS[name]()
