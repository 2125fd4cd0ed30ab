"""Token ids as arrays, and the check of ids that all tokenizers share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

TokenIds = npt.NDArray[np.integer[Any]]


def smallest_type(vocabulary_size: int) -> "type[np.integer[Any]]":
    """The smallest integer type of torch that can represent every id of the vocabulary."""
    if vocabulary_size <= 1 << 8:
        return np.uint8
    return np.int16 if vocabulary_size <= 1 << 15 else np.int32


def checked_ids(ids: TokenIds | Sequence[int], vocabulary_size: int) -> list[int]:
    """The ids as a list. Raises ValueError for one outside range(0, vocabulary_size)."""
    array = np.asarray(ids, dtype=np.int64)
    wrong = array[(array < 0) | (array >= vocabulary_size)]
    if wrong.size:
        raise ValueError(f"token id {wrong[0]} must be in range(0, {vocabulary_size})")
    listed: list[int] = array.tolist()
    return listed
