"""Byte-level byte-pair encoding: the 256 bytes, and merges of frequent pairs of symbols.

The vocabulary is the list of merges. Encoding and decoding are implemented here, so that a text is encoded the same on
every machine. Only learning, once, at `init`, needs the package `tokenizers`.
"""

import json
import os
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np

from rnnlab.data.splits import Fractions, split
from rnnlab.data.tokens import TokenIds, checked_ids, smallest_type
from rnnlab.errors import UsageError

# Merges stay within a piece: a word, a number, or a sequence of other signs, with the space before it; or white space.
# Bytes beyond ASCII count as letters. Longer pieces are cut, so that a text without spaces takes no quadratic time.
_PIECE = re.compile(
    rb" ?[A-Za-z\x80-\xff]{1,64}| ?[0-9]{1,64}| ?[^\sA-Za-z0-9\x80-\xff]{1,64}|\s{1,64}",
)
_MIN_COUNT = 2  # a pair that occurs once is not merged

Pair = tuple[int, int]


@dataclass(frozen=True)
class BpeTokenizer:
    """Ids 0..255 are the bytes, the others the results of the merges, in order. Any bytes can be encoded."""

    merges: tuple[Pair, ...]  # pairs of ids, in the order of the merges
    merges_characters = True

    @classmethod
    def learn(cls, text: bytes, fractions: Fractions, *, vocab_size: int) -> Self:
        """A tokenizer with `vocab_size` symbols, learned from the training split of `text` alone.

        Raises UsageError if the package `tokenizers` is missing, or if the split is too short for that many symbols.
        """
        found = cls(tuple(_learn(split(text, fractions, need=1, corpus="").train, vocab_size)))
        if found.vocabulary_size < vocab_size:
            raise UsageError(
                f"tokenizer.vocab_size = {vocab_size:,}: the training split has enough pairs for only "
                f"{found.vocabulary_size:,} symbols; use a smaller vocab_size or a longer text"
            )
        return found

    @classmethod
    def from_vocabulary(cls, vocabulary: str) -> Self:
        """From a value of `vocabulary`: a JSON list of the pairs."""
        return cls(tuple((left, right) for left, right in json.loads(vocabulary)))

    @property
    def vocabulary(self) -> str:
        """Everything that must be stored, as JSON."""
        return json.dumps(self.merges, separators=(",", ":"))

    @property
    def vocabulary_size(self) -> int:
        """The number of symbols: bytes and results of merges."""
        return len(self._texts)

    def encode(self, text: bytes) -> TokenIds:
        """Ids [symbols of `text`]. Within each piece the earliest merge is applied first, from left to right."""
        ids_of: dict[bytes, array[int]] = {}
        ids = array("i")
        for match in _PIECE.finditer(text):
            piece = match.group()
            if piece not in ids_of:
                ids_of[piece] = array("i", self._merged(piece))
            ids += ids_of[piece]
        return np.array(ids, dtype=smallest_type(self.vocabulary_size))

    def decode(self, ids: TokenIds | Sequence[int]) -> bytes:
        """The bytes of the symbols, one after the other.

        Raises ValueError for an id outside the vocabulary.
        """
        return b"".join(self._texts[one] for one in checked_ids(ids, self.vocabulary_size))

    def _merged(self, piece: bytes) -> list[int]:
        ids = list(piece)
        while len(ids) > 1:
            rank, position = min((self._ranks.get(pair, len(self.merges)), i) for i, pair in enumerate(pairwise(ids)))
            if rank == len(self.merges):
                break
            ids[position : position + 2] = [self._results[rank]]
        return ids

    @cached_property
    def _ranks(self) -> dict[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _symbols(self) -> tuple[list[bytes], list[int]]:
        """The bytes of every symbol, and the id that results from each merge."""
        texts = [bytes([byte]) for byte in range(256)]
        id_of = {text: index for index, text in enumerate(texts)}
        results = []
        for left, right in self.merges:
            text = texts[left] + texts[right]
            # Two merges can result in the same text: they share its id.
            if text not in id_of:
                id_of[text] = len(texts)
                texts.append(text)
            results.append(id_of[text])
        return texts, results

    @property
    def _texts(self) -> list[bytes]:
        return self._symbols[0]

    @property
    def _results(self) -> list[int]:
        return self._symbols[1]


def _learn(text: bytes, vocab_size: int) -> list[Pair]:
    # Learning takes a moment, and its threads would disturb workers that are forked later.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from tokenizers import Tokenizer, models, trainers
    except ImportError as error:
        raise UsageError(
            'tokenizer.kind = "bpe" needs the package tokenizers to learn its vocabulary: run '
            "`pip install 'rnnlab[bpe]'`, or name another tokenizer"
        ) from error
    # The package works on characters: Latin-1 maps each byte to the character with the same number.
    learner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=_MIN_COUNT,
        initial_alphabet=[chr(byte) for byte in range(256)],
        show_progress=False,
    )
    learner.train_from_iterator((match.group().decode("latin-1") for match in _PIECE.finditer(text)), trainer)
    model = json.loads(learner.to_str())["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]
