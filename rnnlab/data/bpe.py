"""Byte-level byte-pair encoding: the 256 bytes, and pairs of symbols that were merged because they are frequent.

The vocabulary is the list of merges alone. What encodes and decodes is here, in a few lines, so that a text is encoded
alike on every machine; only learning, which is done once, at `init`, needs the package `tokenizers`.
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

# Merges stay within a piece: a word, a number, or a run of other signs, with the space before it; or white space. Bytes
# beyond ASCII count as letters. Longer runs are cut, so that a text without spaces costs no quadratic time.
_PIECE = re.compile(
    rb" ?[A-Za-z\x80-\xff]{1,64}| ?[0-9]{1,64}| ?[^\sA-Za-z0-9\x80-\xff]{1,64}|\s{1,64}",
)
_LEAST_COUNT = 2  # a pair that occurs once is not merged

Pair = tuple[int, int]


@dataclass(frozen=True)
class BpeTokenizer:
    """Ids 0..255 are the bytes, the others what the merges make, in their order. Any bytes come back as they were."""

    merges: tuple[Pair, ...]  # ids, the first merge first
    merges_characters = True

    @classmethod
    def learned(cls, text: bytes, fractions: Fractions, *, vocab_size: int) -> Self:
        """`vocab_size` symbols from the training split of `text` alone.

        Raises UsageError where the package `tokenizers` is missing, or the split is too short for so many.
        """
        found = cls(tuple(_learn(split(text, fractions, need=1, corpus="").train, vocab_size)))
        if found.vocabulary_size < vocab_size:
            raise UsageError(
                f"tokenizer.vocab_size = {vocab_size:,}: the training split has pairs for {found.vocabulary_size:,} "
                "symbols only; give at most that, or a longer text"
            )
        return found

    @classmethod
    def from_vocabulary(cls, vocabulary: str) -> Self:
        """From what `vocabulary` gave: a JSON list of the pairs."""
        return cls(tuple((left, right) for left, right in json.loads(vocabulary)))

    @property
    def vocabulary(self) -> str:
        """All that has to be kept, as JSON."""
        return json.dumps(self.merges, separators=(",", ":"))

    @property
    def vocabulary_size(self) -> int:
        """Bytes and merged symbols."""
        return len(self._texts)

    def encode(self, text: bytes) -> TokenIds:
        """Ids [symbols of `text`]: within each piece the earliest merge is applied first, from left to right."""
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
            rank, place = min((self._ranks.get(pair, len(self.merges)), i) for i, pair in enumerate(pairwise(ids)))
            if rank == len(self.merges):
                break
            ids[place : place + 2] = [self._results[rank]]
        return ids

    @cached_property
    def _ranks(self) -> dict[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _built(self) -> tuple[list[bytes], list[int]]:
        """The bytes of every symbol, and the id that each merge gives."""
        texts = [bytes([byte]) for byte in range(256)]
        id_of = {text: place for place, text in enumerate(texts)}
        results = []
        for left, right in self.merges:
            text = texts[left] + texts[right]
            # Two merges can make the same text: they share its id.
            if text not in id_of:
                id_of[text] = len(texts)
                texts.append(text)
            results.append(id_of[text])
        return texts, results

    @property
    def _texts(self) -> list[bytes]:
        return self._built[0]

    @property
    def _results(self) -> list[int]:
        return self._built[1]


def _learn(text: bytes, vocab_size: int) -> list[Pair]:
    # It learns in a moment, and its threads would be in the way of workers that are forked later.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        from tokenizers import Tokenizer, models, trainers
    except ImportError as error:
        raise UsageError(
            'tokenizer.kind = "bpe" needs the package tokenizers to learn its vocabulary: run '
            "`pip install 'rnnlab[bpe]'`, or name another tokenizer"
        ) from error
    # Latin-1 gives each byte a character of its own, with the byte's number: the package knows characters only.
    learner = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=_LEAST_COUNT,
        initial_alphabet=[chr(byte) for byte in range(256)],
        show_progress=False,
    )
    learner.train_from_iterator((match.group().decode("latin-1") for match in _PIECE.finditer(text)), trainer)
    model = json.loads(learner.to_str())["model"]
    return [(model["vocab"][left], model["vocab"][right]) for left, right in model["merges"]]
