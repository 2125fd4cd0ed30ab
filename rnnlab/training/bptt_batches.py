"""The windows that a run sees in the BPTT regime, as a pure function of (settings, seed, step).

Shapes: K steps of a block, B batch rows, E windows of an epoch.
"""

import torch
from torch import Tensor

from rnnlab.data.batches import epoch_order, held_out_windows, positions_of_windows
from rnnlab.errors import CorpusError
from rnnlab.spec.regime_settings import BpttSettings


class WindowSampler:
    """The windows of the training split that the optimizer steps of one run use, and the windows that are held out."""

    def __init__(self, training: BpttSettings, seed: int, n_tokens: int) -> None:
        """`n_tokens`: length of the training split.

        Raises CorpusError if the split is too short for the windows.
        """
        if n_tokens < training.train_tokens_needed:
            raise CorpusError(
                f"the training split has {n_tokens:,} tokens, but its windows need {training.train_tokens_needed:,}: "
                "give a longer text, a larger training share, a smaller block_size or fewer epoch_windows"
            )
        self._training = training
        self._seed = seed
        self._n_tokens = n_tokens
        self._epoch = -1
        self._order_E = torch.empty(0)
        self._trained_E, self._held_out = held_out_windows(seed, training.epoch_windows, training.n_held_out)

    def batches(self, first_step: int, n_steps: int) -> tuple[Tensor, Tensor]:
        """The result of `batch` for K steps from `first_step` on: int64 [K, B] and float64 [K, B]."""
        training = self._training
        if training.steps_per_epoch is not None:
            starts, weights = zip(*(self.batch(first_step + k) for k in range(n_steps)), strict=True)
            return torch.stack(starts), torch.stack(weights)
        indices = range(first_step, first_step + n_steps)
        starts_KB = positions_of_windows(self._seed, indices, training.batch_size, self._n_tokens, training.span)
        return starts_KB, torch.full(starts_KB.shape, 1 / training.batch_size, dtype=torch.float64)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The windows of the optimizer step after `step` steps: starts, int64 [B], and weights, float64 [B].

        The weights are those of a mean over the windows. The last batch of an epoch has the remaining windows, and is
        padded with windows of weight zero.
        """
        training = self._training
        B = training.batch_size
        if training.steps_per_epoch is None:
            starts_KB, weights_KB = self.batches(step, 1)
            return starts_KB[0], weights_KB[0]
        epoch, index = divmod(step, training.steps_per_epoch)
        if training.sampling == "contiguous":
            rows_B = torch.arange(B) * training.steps_per_epoch  # each row reads its own part of the text
            return (rows_B + index) * training.stride, torch.full((B,), 1 / B, dtype=torch.float64)
        if epoch != self._epoch:
            self._order_E = self._trained_E[epoch_order(self._seed, epoch, len(self._trained_E))]
            self._epoch = epoch
        chosen = self._order_E[index * B : (index + 1) * B]
        starts_B = chosen[torch.arange(B) % len(chosen)] * training.stride
        return starts_B, (torch.arange(B) < len(chosen)).double() / len(chosen)

    def begins_epoch(self, step: int) -> bool:
        """Whether the step after `step` steps is the first of an epoch, at which a carried state is reset."""
        return step % (self._training.steps_per_epoch or 1) == 0

    def held_out(self) -> Tensor:
        """Starts of the windows of the training split that are not used for training: int64, possibly empty."""
        after = torch.arange(self._training.held_out_next) + self._training.epoch_windows
        return torch.cat([self._held_out, after]) * self._training.stride
