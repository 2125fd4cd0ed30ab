"""A loss in comparable units: per character and per byte of the text, whatever the tokenizer.

Shapes: C symbols of a corpus split.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rnnlab.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextRate:
    """How much text a symbol of one split stands for, on average over that split."""

    bytes_per_symbol: float  # UTF-8 bytes of the text that the symbols decode to; > 0
    characters_per_symbol: float  # 1, except for tokenizers that merge characters: there a byte counts as a character

    def bits_per_byte(self, loss: float) -> float:
        """From nats per symbol."""
        return loss / math.log(2) / self.bytes_per_symbol

    def bits_per_character(self, loss: float) -> float:
        """From nats per symbol."""
        return loss / math.log(2) / self.characters_per_symbol


def text_rate(tokens_C: Tensor, tokenizer: Tokenizer) -> TextRate:
    """The rate of a split, given as its C ids, on the CPU.

    For `letters` the normalized text counts: no symbol stands for the text that the tokenizer drops.
    """
    n_bytes = len(tokenizer.decode(tokens_C.numpy())) / max(1, len(tokens_C))
    return TextRate(n_bytes, n_bytes if tokenizer.merges_characters else 1.0)


def with_text_units(result: Mapping[str, Any], rates: Mapping[str, TextRate]) -> dict[str, Any]:
    """The result of a run with bits per character and per byte for each split of `rates`, in addition to the loss."""
    units = {}
    for split, rate in rates.items():
        loss = result.get(f"{split}_loss")
        units[f"{split}_bits_per_character"] = None if loss is None else rate.bits_per_character(loss)
        units[f"{split}_bits_per_byte"] = None if loss is None else rate.bits_per_byte(loss)
    return {**result, **units}
