import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.data.batches import evaluation_positions, load_splits, window_positions, windows
from rnnlab.data.corpus import resolve
from rnnlab.data.splits import Fractions
from rnnlab.data.tokenizer import ByteTokenizer
from rnnlab.errors import CorpusError

GOLDEN = [5385, 11336, 25820, 39945, 8276, 31851, 10939, 31557]


def test_golden_positions() -> None:
    """A change here changes every result: published runs could not be reproduced."""
    assert window_positions(0, 0, 8, 100_000, 1_000).tolist() == GOLDEN


def test_positions_are_pure() -> None:
    first = window_positions(3, 7, 256, 100_000, 1_000)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    for index in range(20):
        window_positions(3, index, 256, 50_000, 10)
    assert torch.equal(window_positions(3, 7, 256, 100_000, 1_000), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_positions_are_the_same_in_another_process() -> None:
    program = (
        "import torch; torch.manual_seed(5); torch.set_num_threads(2); torch.rand(9); "
        "from rnnlab.data.batches import window_positions; "
        "print(window_positions(0, 0, 8, 100_000, 1_000).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{GOLDEN}\n"


def test_a_smaller_batch_is_the_beginning_of_a_larger_one() -> None:
    large = window_positions(1, 2, 64, 10_000, 100)
    assert torch.equal(window_positions(1, 2, 8, 10_000, 100), large[:8])


def test_seeds_and_indexes_give_different_batches() -> None:
    batches = {tuple(window_positions(s, i, 4, 10**6, 10).tolist()) for s in range(40) for i in range(40)}
    assert len(batches) == 1_600
    # The key's text has a separator: (1, 23) is not (12, 3).
    assert not torch.equal(window_positions(1, 23, 4, 10**6, 10), window_positions(12, 3, 4, 10**6, 10))


@given(
    seed=st.integers(-(2**70), 2**70),
    index=st.integers(0, 2**70),
    window_length=st.integers(1, 50),
    rest=st.integers(0, 10**9),
)
def test_every_window_fits(seed: int, index: int, window_length: int, rest: int) -> None:
    n_tokens = window_length + rest
    positions_B = window_positions(seed, index, 16, n_tokens, window_length)
    assert positions_B.dtype == torch.int64
    assert positions_B.shape == (16,)
    assert int(positions_B.min()) >= 0
    assert int(positions_B.max()) <= n_tokens - window_length


def test_positions_are_uniform_over_all_starts() -> None:
    """Chi-square against the uniform distribution: 49 degrees of freedom, so mean 49 and standard deviation 9.9."""
    draws = torch.cat([window_positions(11, index, 256, 149, 100) for index in range(200)])
    counts = torch.bincount(draws, minlength=50)
    assert len(counts) == 50
    expected = len(draws) / 50
    assert float(((counts - expected) ** 2 / expected).sum()) < 49 + 4 * 9.9


def test_windows_are_slices_of_the_text() -> None:
    for kind in (torch.uint8, torch.int64):
        tokens_C = torch.arange(200).to(kind)
        positions_B = torch.tensor([0, 190, 17, 17])
        tokens_BW = windows(tokens_C, positions_B, 10)
        assert tokens_BW.dtype == kind
        assert tokens_BW.tolist() == [list(range(start, start + 10)) for start in (0, 190, 17, 17)]


@given(st.integers(1, 5_000), st.integers(1, 100), st.integers(1, 60))
def test_evaluation_windows_do_not_overlap(n_tokens: int, window_length: int, max_windows: int) -> None:
    if window_length > n_tokens:
        with pytest.raises(ValueError, match=r"does not fit"):
            evaluation_positions(n_tokens, window_length, max_windows)
        return
    positions = evaluation_positions(n_tokens, window_length, max_windows).tolist()
    assert len(positions) == min(max_windows, n_tokens // window_length)
    assert positions[0] == 0
    assert positions[-1] + window_length <= n_tokens
    gaps = [after - before for before, after in pairwise(positions)]
    assert not gaps or (min(gaps) >= window_length and max(gaps) - min(gaps) <= 1)


@pytest.mark.parametrize("window_length", [0, 11])
def test_windows_that_do_not_fit(window_length: int) -> None:
    with pytest.raises(ValueError, match=r"does not fit into 10"):
        window_positions(0, 0, 4, 10, window_length)


def test_splits_are_loaded_once(tmp_path: Path) -> None:
    path = tmp_path / "loaded once.txt"
    path.write_bytes(bytes(range(100)))
    corpus = resolve(str(path))
    splits = load_splits(corpus, ByteTokenizer(), Fractions(0.8, 0.1, 0.1), need=10)
    assert splits.train.dtype == torch.uint8
    assert splits.train.tolist() == list(range(80))
    assert splits.validation.tolist() == list(range(80, 90))
    assert splits.test.tolist() == list(range(90, 100))
    again = load_splits(corpus, ByteTokenizer(), Fractions(0.8, 0.1, 0.1), need=5)
    assert again.train.data_ptr() == splits.train.data_ptr()
    with pytest.raises(CorpusError, match=r"corpus 'loaded-once' has 100 tokens"):
        load_splits(corpus, ByteTokenizer(), Fractions(0.8, 0.1, 0.1), need=11)
