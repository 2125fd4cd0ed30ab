"""The symbols of one run in the online regime, as a pure function of (seed, step).

Shapes: K steps of a block, B batch rows, W symbols of a window with its last target.
"""

import torch
from torch import Tensor

from rnnlab.data.batches import window_positions, windows
from rnnlab.spec.regime_settings import OnlineSettings


class OnlineBatches:
    """The random windows of one run, one after the other. Each window is read symbol by symbol, one symbol a step."""

    def __init__(self, training: OnlineSettings, seed: int, tokens: Tensor) -> None:
        """`tokens` is the training split, 1-D, any integer type."""
        self._training = training
        self._seed = seed
        self._tokens = tokens
        self._window_index = -1
        self._window_BW = torch.empty(0)

    def fill(self, first_step: int, inputs_KB: Tensor, targets_KB: Tensor) -> list[int]:
        """Write the symbols of K steps from `first_step` on. Returns the indices of steps at which a window starts."""
        training = self._training
        per_window = training.steps_per_window
        starts = []
        k = 0
        while k < len(inputs_KB):
            index, offset = divmod(first_step + k, per_window)
            if offset == 0:
                starts.append(k)
            window_BW = self._window(index, training.batch_size, training.window_length)
            n = min(per_window - offset, len(inputs_KB) - k)
            inputs_KB[k : k + n] = window_BW[:, offset : offset + n].T
            targets_KB[k : k + n] = window_BW[:, offset + 1 : offset + 1 + n].T
            k += n
        return starts

    def _window(self, index: int, batch_size: int, length: int) -> Tensor:
        if index != self._window_index:
            positions = window_positions(self._seed, index, batch_size, len(self._tokens), length)
            self._window_BW = windows(self._tokens, positions, length)
            self._window_index = index
        return self._window_BW
