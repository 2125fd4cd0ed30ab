"""The symbols that each run of a cohort sees in the online regime, as a pure function of (seed, step).

Shapes: K steps of a block, M models, B batch rows, W window length (symbols).
"""

import torch
from torch import Tensor

from rnnlab.data.batches import window_positions, windows
from rnnlab.spec.regime_settings import OnlineSettings


class WindowStream:
    """The random windows of one run, one after the other; each is read symbol by symbol."""

    def __init__(self, training: OnlineSettings, seed: int, tokens: Tensor) -> None:
        """`tokens` is the training split, 1-D, any integer type."""
        self._training = training
        self._seed = seed
        self._tokens = tokens
        self._window_index = -1
        self._window_BW = torch.empty(0)

    def fill(self, first_step: int, inputs_KB: Tensor, targets_KB: Tensor) -> list[int]:
        """Write the symbols of the K steps from `first_step` on; returns the rows at which a window starts."""
        training = self._training
        per_window = training.steps_per_window
        starts = []
        row = 0
        while row < len(inputs_KB):
            index, offset = divmod(first_step + row, per_window)
            if offset == 0:
                starts.append(row)
            window_BW = self._window(index, training.batch_size, training.window_length)
            n = min(per_window - offset, len(inputs_KB) - row)
            inputs_KB[row : row + n] = window_BW[:, offset : offset + n].T
            targets_KB[row : row + n] = window_BW[:, offset + 1 : offset + 1 + n].T
            row += n
        return starts

    def _window(self, index: int, batch_size: int, length: int) -> Tensor:
        if index != self._window_index:
            positions = window_positions(self._seed, index, batch_size, len(self._tokens), length)
            self._window_BW = windows(self._tokens, positions, length)
            self._window_index = index
        return self._window_BW
