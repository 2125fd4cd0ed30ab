import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.data.characters import CharacterTokenizer
from rnnlab.data.splits import Fractions
from rnnlab.errors import UsageError

SHARES = Fractions(0.5, 0.25, 0.25)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXTS, st.booleans())
def test_texts_come_back(text: str, padding: bool) -> None:
    tokenizer = CharacterTokenizer.learn(text.encode(), SHARES, padding=padding)
    ids = tokenizer.encode(text.encode())
    assert len(ids) == len(text)
    assert tokenizer.vocabulary_size == len(set(text)) + padding
    assert tokenizer.decode(ids) == text.encode()


def test_characters_are_sorted_and_padding_comes_first() -> None:
    text = "zebra, née Ö\n".encode()
    plain = CharacterTokenizer.learn(text, SHARES)
    assert plain.characters == tuple("\n ,abenrzÖé")
    assert plain.encode("né".encode()).tolist() == [6, 10]
    padded = CharacterTokenizer.learn(text, SHARES, padding=True)
    assert padded.encode("né".encode()).tolist() == [7, 11]
    assert padded.decode([0, 7, 0, 11]) == "né".encode()
    assert plain != padded


def test_held_out_characters_are_known_too() -> None:
    assert CharacterTokenizer.learn(b"aaaz", SHARES).encode(b"z").tolist() == [1]


def test_large_vocabularies_have_room() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 400)))
    tokenizer = CharacterTokenizer.learn(text.encode(), SHARES)
    ids = tokenizer.encode(text.encode())
    assert ids.dtype == np.int16
    assert ids.tolist() == list(range(400))


@pytest.mark.parametrize("missing", ["x", "€", "\N{GRINNING FACE}", "\0"])
def test_a_character_that_is_missing(missing: str) -> None:
    tokenizer = CharacterTokenizer.learn(b"abc", SHARES, padding=True)
    with pytest.raises(
        UsageError, match=rf"character .* \(U\+{ord(missing):04X}\) is not in the vocabulary, which has the 3 "
    ):
        tokenizer.encode(f"ab{missing}c{missing}".encode())


def test_what_is_no_text() -> None:
    complaint = r"the text is not UTF-8 \(byte 0xff at position 2\): the tokenizer \"characters\" needs UTF-8"
    with pytest.raises(UsageError, match=complaint):
        CharacterTokenizer.learn(b"ab\xffcd", SHARES)
    with pytest.raises(UsageError, match=complaint):
        CharacterTokenizer.learn(b"abcd", SHARES).encode(b"ab\xff")
