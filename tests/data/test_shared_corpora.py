"""The real public corpora, if they are next to the checkout: sizes, hashes, and their published statistics."""

import string
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from rnnlab.data.bpe import BpeTokenizer
from rnnlab.data.characters import CharacterTokenizer
from rnnlab.data.corpus import read_bytes, resolve
from rnnlab.data.known_corpora import PUBLIC
from rnnlab.data.letters import LetterTokenizer
from rnnlab.data.splits import Fractions
from rnnlab.data.tokenizer import ByteTokenizer, encoded_splits
from rnnlab.files import sha256_hex
from tests.support.paths import public_text


def plug_in_entropies(tokens: npt.NDArray[np.int64]) -> list[float]:
    """Entropy, in nats, of a token given the 0, 1 and 2 tokens before it, from the counts in the text itself."""
    joint = [0.0]
    for order in range(3):
        length = len(tokens) - order
        grams = sum(tokens[place : place + length] * 256**place for place in range(order + 1))
        shares = np.unique(grams, return_counts=True)[1] / length
        joint.append(float(-(shares * np.log(shares)).sum()))
    return [after - before for before, after in pairwise(joint)]


@pytest.mark.parametrize("name", ["tinyshakespeare", "timemachine", "nietzsche"])
def test_public_texts_match_the_registry(name: str) -> None:
    entry = PUBLIC[name]
    corpus = resolve(str(public_text(entry.file_name)))
    text = read_bytes(corpus)
    assert (corpus.name, corpus.sha256, corpus.size_bytes) == (name, entry.sha256, entry.size_bytes)
    assert (sha256_hex(text), len(text)) == (entry.sha256, entry.size_bytes)
    assert text.decode(entry.encoding)
    assert resolve(name) == corpus


@pytest.mark.parametrize(
    ("file_name", "size_bytes", "expected"),
    [
        ("tinyshakespeare.txt", 1_115_394, [3.313, 2.453, 1.908]),
        ("enwik8.first1MB.gz", 1_000_000, [3.507, 2.658, 2.003]),
    ],
)
def test_entropies(file_name: str, size_bytes: int, expected: list[float]) -> None:
    text = read_bytes(resolve(str(public_text(file_name))))
    assert len(text) == size_bytes
    assert plug_in_entropies(ByteTokenizer().encode(text).astype(np.int64)) == pytest.approx(expected, abs=6e-4)


def test_the_first_megabyte_of_enwik8() -> None:
    corpus = resolve(str(public_text("enwik8.first1MB.gz")))
    assert corpus.name == "enwik8.first1MB"
    assert corpus.sha256 == "369b688978f649681136198fb96db14c1616756260c55fb4b65e9bc049552cad"


def shared_text(name: str) -> bytes:
    return read_bytes(resolve(str(public_text(PUBLIC[name].file_name))))


def test_characters_of_tinyshakespeare() -> None:
    text = shared_text("tinyshakespeare")
    tokenizer = CharacterTokenizer.learn(text, Fractions(0.9, 0.05, 0.05))
    assert tokenizer.vocabulary_size == 65
    assert "".join(tokenizer.characters) == "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase
    assert len(encoded_splits(text, tokenizer, Fractions(0.9, 0.1, 0.0), "x").train) == 1_003_854


def test_characters_of_nietzsche() -> None:
    text = shared_text("nietzsche")
    tokenizer = CharacterTokenizer.learn(text, Fractions(0.8, 0.1, 0.1), padding=True)
    ids = tokenizer.encode(text)
    assert (tokenizer.vocabulary_size, len(ids)) == (85, 600_893)
    assert ids[:10].tolist() == [40, 42, 29, 30, 25, 27, 29, 1, 1, 1]
    assert plug_in_entropies(ids.astype(np.int64)) == pytest.approx([3.122, 2.471, 1.955], abs=6e-4)


def test_letters_of_the_time_machine() -> None:
    tokenizer = LetterTokenizer()
    ids = tokenizer.encode(shared_text("timemachine"))
    assert (len(ids), len(set(ids.tolist())), tokenizer.vocabulary_size) == (173_428, 27, 28)
    assert ids[:10].tolist() == [21, 9, 6, 0, 21, 10, 14, 6, 0, 14]
    assert plug_in_entropies(ids.astype(np.int64)) == pytest.approx([2.827, 2.271, 1.803], abs=6e-4)


def test_pairs_of_tinyshakespeare() -> None:
    text = shared_text("tinyshakespeare")
    tokenizer = BpeTokenizer.learn(text, Fractions(0.9, 0.05, 0.05), vocab_size=512)
    parts = encoded_splits(text, tokenizer, Fractions(0.9, 0.05, 0.05), "x")
    assert b"".join(map(tokenizer.decode, (parts.train, parts.validation, parts.test))) == text
    assert len(tokenizer.decode(parts.train)) == 1_003_854
    assert 1.5 < len(tokenizer.decode(parts.test)) / len(parts.test) < 3
