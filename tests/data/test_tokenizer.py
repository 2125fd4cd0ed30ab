"""Properties of all tokenizers, and the tokenizer of bytes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.data.builtin import generated_text
from rnnlab.data.splits import Fractions
from rnnlab.data.tokenizer import (
    TOKENIZERS,
    ByteTokenizer,
    Tokenizer,
    encoded_splits,
    learn_tokenizer,
    make_tokenizer,
)
from rnnlab.errors import CorpusError, UsageError
from rnnlab.files import sha256_hex

TEXT = generated_text()[:20_000] + "Ähnlich, naïve: 1 € — 2 €\r\n".encode()
SHARES = Fractions(0.8, 0.1, 0.1)
SETTINGS: dict[str, Mapping[str, Any]] = {"bpe": {"vocab_size": 300}}


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """One of each kind, learned from TEXT."""
    return learn_tokenizer(request.param, TEXT, SHARES, SETTINGS.get(request.param, {}))


@given(st.binary())
def test_bytes_come_back(text: bytes) -> None:
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint8
    assert ids.tolist() == list(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids.tolist()) == text


def test_ids_are_those_of_the_vocabulary(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode(TEXT).tolist()
    assert 0 <= min(ids) <= max(ids) < tokenizer.vocabulary_size
    assert tokenizer.encode(tokenizer.decode(ids)).tolist() == ids
    for one in (-1, tokenizer.vocabulary_size):
        with pytest.raises(ValueError, match=rf"must be in range\(0, {tokenizer.vocabulary_size}\)"):
            tokenizer.decode([0, one])


def test_every_id_has_a_text(tokenizer: Tokenizer) -> None:
    """A model may draw any id, one at a time."""
    everything = list(range(tokenizer.vocabulary_size))
    assert tokenizer.decode(everything) == b"".join(tokenizer.decode([one]) for one in everything)


def test_the_vocabulary_is_all_there_is_to_keep(tokenizer: Tokenizer) -> None:
    kind = next(kind for kind, one in TOKENIZERS.items() if isinstance(tokenizer, one))
    vocabulary = tokenizer.vocabulary
    expected = None if vocabulary is None else sha256_hex(vocabulary.encode())
    again = make_tokenizer(kind, vocabulary, expected)
    assert again == tokenizer
    assert hash(again) == hash(tokenizer)
    assert again.vocabulary == vocabulary
    assert again.encode(TEXT).tolist() == tokenizer.encode(TEXT).tolist()
    assert learn_tokenizer(kind, TEXT, SHARES, SETTINGS.get(kind, {})) == tokenizer


def test_a_vocabulary_that_does_not_fit() -> None:
    vocabulary = learn_tokenizer("characters", b"abc", SHARES, {}).vocabulary
    assert vocabulary is not None
    own = sha256_hex(vocabulary.encode())
    with pytest.raises(UsageError, match=rf"the run has vocabulary 111111111111 .* vocabulary {own[:12]} was found"):
        make_tokenizer("characters", vocabulary, "1" * 64)
    with pytest.raises(UsageError, match=r"the run has vocabulary 111111111111 .* no vocabulary was found"):
        make_tokenizer("characters", None, "1" * 64)
    with pytest.raises(UsageError, match=r"the run has no vocabulary of tokenizer 'bytes'"):
        make_tokenizer("bytes", vocabulary)


def test_an_unknown_tokenizer() -> None:
    with pytest.raises(UsageError, match=r"no tokenizer 'words'; known tokenizers: bytes, characters, letters, bpe"):
        make_tokenizer("words")


def test_splits_hold_out_the_same_text_whatever_the_tokenizer(tokenizer: Tokenizer) -> None:
    """For a normalized ASCII text. Its end has more symbols per byte than its beginning."""
    text = b"the cat sat on the mat and ran " * 50 + b"quick wizards vex jumping dwarf foxes by zloty " * 12
    if tokenizer.vocabulary is not None:
        kind = next(kind for kind, one in TOKENIZERS.items() if isinstance(tokenizer, one))
        tokenizer = learn_tokenizer(kind, text, SHARES, {"vocab_size": 260} if kind == "bpe" else {})
    parts = encoded_splits(text, tokenizer, SHARES, "x")
    decoded = [tokenizer.decode(part) for part in (parts.train, parts.validation, parts.test)]
    first, second = len(text) * 8 // 10, len(text) * 9 // 10
    assert decoded == [text[:first], text[first:second], text[second:]]


def test_splits_of_next_to_nothing() -> None:
    with pytest.raises(CorpusError, match="corpus 'x' has 4 tokens and its validation split 0"):
        encoded_splits(b"abcd", ByteTokenizer(), SHARES, "x")
