import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.data.splits import Fractions, smallest_length, split
from rnnlab.errors import CorpusError, UsageError

SHARES = st.sampled_from(
    [
        Fractions(1, 0, 0),
        Fractions(0.9, 0.1, 0),
        Fractions(0.8, 0.1, 0.1),
        Fractions(0.7, 0.2, 0.1),
        Fractions(0.5, 0, 0.5),
        Fractions(1 / 3, 1 / 3, 1 / 3),
        Fractions(0.98, 0.01, 0.01),
    ]
)


def test_the_published_cut_of_tinyshakespeare() -> None:
    splits = split(range(1_115_394), Fractions(0.9, 0.1, 0), need=65, corpus="tinyshakespeare")
    assert splits.train == range(1_003_854)
    assert splits.validation == range(1_003_854, 1_115_394)
    assert len(splits.test) == 0


@given(st.integers(min_value=100, max_value=10_000), SHARES)
def test_splits_cover_the_corpus_without_overlap(n_tokens: int, fractions: Fractions) -> None:
    splits = split(np.arange(n_tokens), fractions, need=1, corpus="x")
    parts = [splits.train, splits.validation, splits.test]
    assert np.array_equal(np.concatenate(parts), np.arange(n_tokens))
    for part, share in zip(parts, (fractions.train, fractions.validation, fractions.test), strict=True):
        assert abs(len(part) - share * n_tokens) < 1 + 1e-6
        assert share > 0 or len(part) == 0


def test_shares_are_meant_as_written() -> None:
    """0.7 + 0.2 is less than 0.9 in floating point."""
    assert len(split(range(10), Fractions(0.7, 0.2, 0.1), need=1, corpus="x").test) == 1


@given(st.integers(min_value=1, max_value=500), SHARES)
def test_the_smallest_length_is_the_smallest(need: int, fractions: Fractions) -> None:
    length = smallest_length(fractions, need)
    for longer in range(20):
        split(range(length + longer), fractions, need=need, corpus="x")
    with pytest.raises(CorpusError):
        split(range(length - 1), fractions, need=need, corpus="x")


def test_a_corpus_that_is_too_short_is_one_clear_line() -> None:
    with pytest.raises(CorpusError) as error:
        split(range(5_000), Fractions(0.8, 0.1, 0.1), need=1_000, corpus="notes")
    assert str(error.value) == (
        "corpus 'notes' has 5,000 tokens and its validation split 500, but each split needs 1,000: use a text of at "
        "least 9,996 tokens, or other fractions"
    )


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.2), (0.8, 0.1, 0.0), (0, 0.5, 0.5), (1.2, -0.2, 0), (1, 0.1, -0.1)])
def test_fractions_that_make_no_sense(shares: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match=r"each must be >= 0, train > 0, and their sum 1"):
        Fractions(*shares)
