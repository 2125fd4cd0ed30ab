"""Losses of windows that models of any kind read symbol by symbol.

Shapes: M models, B batch rows, E windows of an evaluation, W symbols of a window with its last target, V vocabulary.
"""

from typing import Protocol

import torch
from torch import Tensor


class SymbolReader(Protocol):
    """The part of a cohort's interface that is needed here."""

    n_models: int  # M

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """The state at a window's start."""

    def step(self, ids_MB: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Ids [M, B] and the state -> logits [M, B, V] and the next state."""


@torch.no_grad()
def stepwise_losses(model: SymbolReader, windows_EW: Tensor) -> Tensor:
    """The mean loss of each model over the predictions of each window, [M, E], nats per symbol, summed in float64.

    The windows, int64 on the models' device, are the rows of one batch; each is read from the start state.
    """
    n_models, (n_rows, length) = model.n_models, windows_EW.shape
    hidden = model.initial_state(n_rows)
    total_ME = torch.zeros(n_models, n_rows, dtype=torch.float64, device=windows_EW.device)
    for t in range(length - 1):
        logits_MEV, hidden = model.step(windows_EW[:, t].expand(n_models, -1), hidden)
        targets = windows_EW[:, t + 1].repeat(n_models)
        losses = torch.nn.functional.cross_entropy(logits_MEV.flatten(0, 1), targets, reduction="none")
        total_ME += losses.view(n_models, n_rows)
    return total_ME / (length - 1)
