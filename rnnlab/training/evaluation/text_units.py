"""A loss in the units that people compare: per character and per byte of the text, whatever the tokenizer."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from rnnlab.data.tokenizer import Tokenizer


@dataclass(frozen=True)
class TextRate:
    """How much text a symbol of one split stands for, on average over that split."""

    bytes_per_symbol: float  # UTF-8 bytes of the text that the symbols decode to
    characters_per_symbol: float  # 1, but for tokenizers that merge characters: there a byte counts as a character

    def bits_per_byte(self, loss: float) -> float:
        """From nats per symbol."""
        return loss / math.log(2) / self.bytes_per_symbol

    def bits_per_character(self, loss: float) -> float:
        """From nats per symbol."""
        return loss / math.log(2) / self.characters_per_symbol


def text_rate(tokens_N: Tensor, tokenizer: Tokenizer) -> TextRate:
    """The rate of a split, given as its N ids, on the CPU.

    Of `letters` it is the normalised text that counts: what the tokenizer drops, nobody predicts.
    """
    n_bytes = len(tokenizer.decode(tokens_N.numpy())) / max(1, len(tokens_N))
    return TextRate(n_bytes, n_bytes if tokenizer.merges_characters else 1.0)


def with_text_units(result: Mapping[str, Any], rates: Mapping[str, TextRate]) -> dict[str, Any]:
    """The result of a run with bits per character and per byte of each split of `rates`, beside `<split>_loss`."""
    units = {}
    for split, rate in rates.items():
        loss = result.get(f"{split}_loss")
        units[f"{split}_bits_per_character"] = None if loss is None else rate.bits_per_character(loss)
        units[f"{split}_bits_per_byte"] = None if loss is None else rate.bits_per_byte(loss)
    return {**result, **units}
