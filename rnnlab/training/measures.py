"""A loss in the units that people compare: per character and per byte of the text, whatever the tokenizer."""

import math
from dataclasses import dataclass

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
