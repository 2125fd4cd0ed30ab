import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.data.tokenizer import TOKENIZERS, ByteTokenizer, make_tokenizer
from rnnlab.errors import UsageError


@given(st.binary())
def test_bytes_come_back(text: bytes) -> None:
    tokenizer = ByteTokenizer()
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint8
    assert ids.tolist() == list(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids.tolist()) == text


@pytest.mark.parametrize("wrong", [-1, 256])
def test_ids_outside_the_vocabulary(wrong: int) -> None:
    with pytest.raises(ValueError, match=r"range\(0, 256\)"):
        ByteTokenizer().decode([65, wrong])


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_tokenizer_is_made_by_name(name: str) -> None:
    tokenizer = make_tokenizer(name)
    assert int(tokenizer.encode(b"abc").max()) < tokenizer.vocabulary_size
    assert tokenizer == make_tokenizer(name)
    assert hash(tokenizer) == hash(make_tokenizer(name))


def test_an_unknown_tokenizer() -> None:
    with pytest.raises(UsageError, match=r"no tokenizer 'words': known tokenizers are bytes"):
        make_tokenizer("words")
