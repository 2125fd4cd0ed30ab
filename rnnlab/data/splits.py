"""Contiguous parts of a corpus for training, validation and test.

The parts do not overlap, and no window crosses from one into the next, so no held-out token is used for training.
"""

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, Generic, Protocol, TypeVar

from rnnlab.errors import CorpusError, UsageError


class Tokens(Protocol):
    """A sequence of tokens that can be sliced: a one-dimensional array or tensor, a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


TokensT = TypeVar("TokensT", bound=Tokens)


@dataclass(frozen=True)
class Fractions:
    """The share of each split, in the order of the corpus. They add up to 1."""

    train: float  # 0 < train <= 1
    validation: float  # 0 <= validation < 1; 0: no such split
    test: float  # 0 <= test < 1; 0: no such split

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) < 0 or self.train == 0 or abs(sum(shares) - 1) > 1e-9:
            raise UsageError(
                f"split fractions {self.train}, {self.validation}, {self.test} (train, validation, test): each must be "
                ">= 0, train > 0, and their sum 1"
            )


@dataclass(frozen=True)
class Splits(Generic[TokensT]):
    """The parts of one corpus. A split whose fraction is 0 is empty."""

    train: TokensT
    validation: TokensT
    test: TokensT


def split(tokens: TokensT, fractions: Fractions, *, need: int, corpus: str) -> Splits[TokensT]:
    """Cut `tokens` into training, validation and test split, in this order, as views.

    The first cut is at int(train * C), with C tokens in all, as is the custom for 90/10 splits. `need` is the number of
    tokens that the protocol needs in each split (>= 1), `corpus` a name for the message.

    Raises CorpusError if a split with a fraction above 0 is shorter than `need`.
    """
    first, second = _cuts(len(tokens), fractions)
    splits = Splits(tokens[:first], tokens[first:second], tokens[second:])
    check_sizes(splits, fractions, need=need, corpus=corpus)
    return splits


def check_sizes(splits: Splits[TokensT], fractions: Fractions, *, need: int, corpus: str) -> None:
    """Raises CorpusError if a split with a fraction above 0 is shorter than `need`, as `split` does."""
    sizes = {name: len(getattr(splits, name)) for name in _names()}
    for name, size in sizes.items():
        if getattr(fractions, name) > 0 and size < need:
            raise CorpusError(
                f"corpus {corpus!r} has {sum(sizes.values()):,} tokens and its {name} split {size:,}, but each split "
                f"needs {need:,}: use a text of at least {smallest_length(fractions, need):,} tokens, or other "
                "fractions"
            )


def smallest_length(fractions: Fractions, need: int) -> int:
    """The smallest number of tokens with which each split has at least `need`."""
    shares: list[float] = [getattr(fractions, name) for name in _names()]

    def fits(length: int) -> bool:
        return all(size >= need for size, share in zip(_sizes(length, fractions), shares, strict=True) if share > 0)

    # This is enough, because a split has more than share * length - 1 tokens; rounding may allow a few less.
    length = math.ceil(need / min(share for share in shares if share > 0))
    while fits(length - 1):
        length -= 1
    return length


def _names() -> list[str]:
    return [field.name for field in fields(Fractions)]


def _sizes(n_tokens: int, fractions: Fractions) -> tuple[int, int, int]:
    first, second = _cuts(n_tokens, fractions)
    return first, second - first, n_tokens - second


def _cuts(n_tokens: int, fractions: Fractions) -> tuple[int, int]:
    return _cut(n_tokens, fractions.train), _cut(n_tokens, fractions.train + fractions.validation)


def _cut(n_tokens: int, share: float) -> int:
    # 0.7 + 0.2 is 0.8999999999999999 in floating point, which would cut one token too early.
    return int(Fraction(share).limit_denominator(1_000_000) * n_tokens)
