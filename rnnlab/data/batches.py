"""Windows of a corpus as a pure function of (seed, window index), so that there is no loader state to lose.

Shapes: K steps (batches), B batch rows, W symbols of a window with its last target, C symbols of a corpus split.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import torch

from rnnlab.data.cache import Corpus, read_bytes
from rnnlab.data.splits import Fractions, Splits, check_sizes
from rnnlab.data.tokenizer import Tokenizer, encoded_splits


def window_positions(seed: int, window_index: int, batch_size: int, n_tokens: int, window_length: int) -> torch.Tensor:
    """The starts of batch `window_index` of a run: int64 [B] on the CPU, uniform over 0 .. n_tokens - window_length.

    It is the same on every device and in every process, whatever was drawn before.

    Raises ValueError if no window fits.
    """
    return positions_of_windows(seed, [window_index], batch_size, n_tokens, window_length)[0]


def positions_of_windows(
    seed: int, window_indices: Sequence[int], batch_size: int, n_tokens: int, window_length: int
) -> torch.Tensor:
    """`window_positions` of several batches: int64 [K, B]."""
    n_starts = _count_starts(n_tokens, window_length)
    generator = torch.Generator()
    draws_KB = torch.empty(len(window_indices), batch_size, dtype=torch.int64)
    offsets = []
    for draws_B, index in zip(draws_KB, window_indices, strict=True):
        digest = hashlib.sha256(f"rnnlab/window/{seed}/{index}".encode()).digest()
        generator.manual_seed(int.from_bytes(digest[:8], "big"))
        # 63 random bits per draw: the bias of the remainder is below C / 2**63. randint() would use 32 bits and favor
        # the first starts of a corpus of 100 MB by 2%.
        draws_B.random_(generator=generator)
        # The CPU generator uses only the lower half of its seed. The upper half is added here, so that two of 100,000
        # windows are not the same batch.
        offsets.append(int.from_bytes(digest[:4], "big"))
    return (draws_KB % n_starts + torch.tensor(offsets).unsqueeze(1)) % n_starts


def epoch_order(seed: int, epoch: int, n_windows: int) -> torch.Tensor:
    """The numbers 0 .. n_windows - 1 in the order of this epoch: int64 [n_windows] on the CPU, each number once."""
    return torch.randperm(n_windows, generator=_generator(f"rnnlab/epoch/{seed}/{epoch}"))


def held_out_windows(seed: int, n_windows: int, n_held_out: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The numbers 0 .. n_windows - 1, split at random into (training, held out), each in ascending order, int64."""
    shuffled = torch.randperm(n_windows, generator=_generator(f"rnnlab/held-out/{seed}"))
    return shuffled[n_held_out:].sort().values, shuffled[:n_held_out].sort().values


def evaluation_positions(n_tokens: int, window_length: int, max_windows: int) -> torch.Tensor:
    """Starts of at most `max_windows` windows without overlap, evenly spaced over the split: int64 on the CPU.

    Raises ValueError if no window fits.
    """
    _count_starts(n_tokens, window_length)
    count = min(max_windows, n_tokens // window_length)
    return torch.arange(count, dtype=torch.int64) * n_tokens // count


def windows(tokens_C: torch.Tensor, positions_B: torch.Tensor, window_length: int) -> torch.Tensor:
    """The windows of `tokens_C` at `positions_B`: [B, W], with the type and device of `tokens_C`."""
    return tokens_C.unfold(0, window_length, 1)[positions_B.to(tokens_C.device)]


def load_splits(corpus: Corpus, tokenizer: Tokenizer, fractions: Fractions, need: int) -> Splits[torch.Tensor]:
    """The splits of `corpus` as one-dimensional CPU tensors of token ids, each with at least `need` tokens or empty.

    The text is read and encoded once per process: the tensors are shared and must not be modified.

    Raises CorpusError if the text is missing, damaged or too short.
    """
    splits = _encoded(corpus, tokenizer, fractions)
    check_sizes(splits, fractions, need=need, corpus=corpus.name)
    return splits


@lru_cache(maxsize=2)  # a worker trains on one corpus, or finishes one while it starts the next
def _encoded(corpus: Corpus, tokenizer: Tokenizer, fractions: Fractions) -> Splits[torch.Tensor]:
    parts = encoded_splits(read_bytes(corpus), tokenizer, fractions, corpus.name)
    return Splits(*(torch.tensor(part) for part in (parts.train, parts.validation, parts.test)))


def _generator(key: str) -> torch.Generator:
    digest = hashlib.sha256(key.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big"))


def _count_starts(n_tokens: int, window_length: int) -> int:
    if not 1 <= window_length <= n_tokens:
        raise ValueError(f"a window of {window_length} tokens does not fit into {n_tokens}")
    return n_tokens - window_length + 1
