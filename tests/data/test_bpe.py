import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.data.bpe import BpeTokenizer
from rnnlab.data.builtin import generated_text
from rnnlab.data.splits import Fractions
from rnnlab.errors import UsageError

TEXT = generated_text()[:30_000]
SHARES = Fractions(0.8, 0.1, 0.1)
TOKENIZER = BpeTokenizer.learn(TEXT, SHARES, vocab_size=400)


@given(st.binary() | st.text(list("abdegklmno .\nA1-")).map(str.encode))
def test_any_bytes_come_back(text: bytes) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_fewer_symbols_than_bytes() -> None:
    ids = TOKENIZER.encode(TEXT).tolist()
    assert TOKENIZER.vocabulary_size == 400
    assert len(TOKENIZER.merges) >= 400 - 256
    assert len(ids) < 0.5 * len(TEXT)
    assert max(ids) >= 256


def test_merges_by_hand() -> None:
    """ab, then abc; `ca` is never merged after its a was merged with another symbol."""
    tokenizer = BpeTokenizer(((97, 98), (256, 99), (99, 97)))
    assert tokenizer.encode(b"abcab").tolist() == [257, 256]
    assert tokenizer.encode(b"cab caa").tolist() == [99, 256, 32, 258, 97]
    assert tokenizer.decode([257, 258]) == b"abcca"


def test_two_merges_may_make_the_same_symbol() -> None:
    tokenizer = BpeTokenizer(((97, 98), (98, 99), (256, 99), (97, 257), (258, 258)))
    assert tokenizer.vocabulary_size == 256 + 4
    assert tokenizer.decode([258]) == b"abc"
    assert tokenizer.decode([259]) == b"abcabc"
    assert tokenizer.encode(b"abcabc").tolist() == [259]


def test_it_encodes_as_the_package_does() -> None:
    """The package that learned the merges has them as pairs of texts."""
    tokenizers = pytest.importorskip("tokenizers")
    texts = [TOKENIZER.decode([one]).decode("latin-1") for one in range(400)]
    merges = [(texts[left], texts[right]) for left, right in TOKENIZER.merges]
    other = tokenizers.Tokenizer(tokenizers.models.BPE({text: one for one, text in enumerate(texts)}, merges))
    pieces = set(re.findall(rb" ?[A-Za-z]+", TEXT))
    assert len(pieces) > 100
    for piece in pieces:
        assert TOKENIZER.encode(piece).tolist() == other.encode(piece.decode("latin-1")).ids


def test_it_is_learned_from_the_training_split_alone() -> None:
    held_out = len(TEXT) * 8 // 10
    assert BpeTokenizer.learn(TEXT[:held_out] + b"q" * (len(TEXT) - held_out), SHARES, vocab_size=400) == TOKENIZER
    # The test can fail: the same change within the training split gives a different vocabulary.
    assert BpeTokenizer.learn(b"qz" * 3_000 + TEXT[6_000:], SHARES, vocab_size=400) != TOKENIZER


def test_learning_again_gives_the_same_and_a_larger_one_begins_with_it() -> None:
    assert BpeTokenizer.learn(TEXT, SHARES, vocab_size=400) == TOKENIZER
    larger = BpeTokenizer.learn(TEXT, SHARES, vocab_size=450)
    assert larger.merges[: len(TOKENIZER.merges)] == TOKENIZER.merges


def test_more_symbols_than_there_are() -> None:
    text = b"abababab" * 10
    with pytest.raises(UsageError, match=r"tokenizer.vocab_size = 1,000: .* pairs for only \d+ symbols"):
        BpeTokenizer.learn(text, SHARES, vocab_size=1_000)


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError, match=r'tokenizer.kind = "bpe" needs the package .*pip install \'rnnlab\[bpe\]\''):
        BpeTokenizer.learn(TEXT, SHARES, vocab_size=400)
    # Only learning needs the package.
    assert TOKENIZER.decode(BpeTokenizer.from_vocabulary(TOKENIZER.vocabulary).encode(TEXT)) == TEXT
