import string

from hypothesis import given
from hypothesis import strategies as st

from rnnlab.data.letters import LetterTokenizer, normalized

TOKENIZER = LetterTokenizer()


def test_the_order_of_the_vocabulary() -> None:
    """As printed in the book for its first line: a space is 0, <unk> 1, a 2."""
    assert TOKENIZER.encode(b"The Time Machine").tolist() == [21, 9, 6, 0, 21, 10, 14, 6, 0, 14, 2, 4, 9, 10, 15, 6]
    assert TOKENIZER.vocabulary_size == 28
    texts = [TOKENIZER.decode([one]).decode() for one in range(28)]
    assert texts == [" ", "<unk>", *string.ascii_lowercase]


def test_every_run_of_anything_else_is_one_space() -> None:
    assert normalized("  I'd say: 'caf\u00e9 42'\r\n\r\nYes.".encode()) == b" i d say caf yes "
    assert TOKENIZER.decode(TOKENIZER.encode(b"A--b__C")) == b"a b c"


@given(st.binary())
def test_normalized_texts_come_back_and_nothing_is_unknown(text: bytes) -> None:
    ids = TOKENIZER.encode(text)
    assert 1 not in ids
    assert TOKENIZER.decode(ids) == normalized(text)
    assert normalized(normalized(text)) == normalized(text)
