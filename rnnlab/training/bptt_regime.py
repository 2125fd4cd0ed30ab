"""The BPTT regime: the windows of a block of steps, and losses and gradients of one step.

Shapes: K steps of a block, M models, T steps of a window, W = T + 1 symbols of a window with its last target, B batch
rows, S state size, V vocabulary.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.recurrent.cell_scans import SCANS
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort
from rnnlab.models.recurrent.window_step import WindowStep
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.training.bptt_batches import WindowSampler


class BpttRegime:
    """The data, losses and gradients of a cohort's steps. `hidden` is the carried state, empty if none is carried."""

    def __init__(
        self,
        model: RecurrentCohort,
        gradients: Mapping[str, Tensor],
        trainings: Sequence[BpttSettings],
        seeds: Sequence[int],
        hidden: list[Tensor],
        train_tokens: Tensor,
        device: torch.device,
    ) -> None:
        """`train_tokens`: the training split, 1-D. `trainings` differ only where members of a cohort may differ."""
        self._training = training = trainings[0]
        self._window = window_step(
            model, gradients, training, batch_size=training.batch_size, carries=training.carry_state
        )
        self.inputs, self.n_symbols = self._window.inputs, training.span - 1
        for buffer, given in zip(self.hidden, hidden, strict=True):
            buffer.copy_(given)
        self._dtype = model.parameters["head.weight"].dtype
        self._samplers = [
            WindowSampler(training, seed, len(train_tokens)) for training, seed in zip(trainings, seeds, strict=True)
        ]
        self._tokens = train_tokens.to(device)
        self._offsets_W1 = torch.arange(self._training.span, device=device).view(1, -1, 1)
        self._device = device

    def prepare(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Choose the windows of the next `n_steps` steps."""
        batches = [sampler.batches(done, n_steps) for sampler, done in zip(self._samplers, steps_done, strict=True)]
        self._starts_KMB = torch.stack([starts_KB for starts_KB, _ in batches], dim=1).to(self._device)
        self._weights_KMB = torch.stack([weights_KB for _, weights_KB in batches], dim=1).to(self._device, self._dtype)
        begins_MK = [
            [sampler.begins_epoch(done + k) for k in range(n_steps)]
            for sampler, done in zip(self._samplers, steps_done, strict=True)
        ]
        self._begins_KM = torch.tensor(begins_MK, device=self._device).T

    def data(self, first: int, n_steps: int) -> list[Tensor]:
        """The contents of `inputs` in steps `first` to `first + n_steps - 1` of those prepared."""
        of_steps = slice(first, first + n_steps)
        symbols_KMWB = self._tokens[self._starts_KMB[of_steps].unsqueeze(2) + self._offsets_W1]
        return self._window.data(symbols_KMWB, self._weights_KMB[of_steps], self._begins_KM[of_steps])

    def compute(self) -> None:
        """Compute the mean losses (nats per symbol) of `inputs`, and the gradients of each, into their buffers."""
        self._window.run()

    @property
    def hidden(self) -> list[Tensor]:
        """The state that is carried from step to step; empty if none is carried."""
        return self._window.next_state if self._training.carry_state else []

    @property
    def losses(self) -> Tensor:
        """The losses of the last step, [M]."""
        return self._window.loss_M

    @property
    def on_fixed_buffers(self) -> bool:
        """Whether `compute` reads and writes the same memory each time."""
        return isinstance(self._window, WindowStep)


def window_step(
    model: RecurrentCohort, gradients: Mapping[str, Tensor], training: BpttSettings, *, batch_size: int, carries: bool
) -> "Step":
    """Losses and gradients of the model's windows. carries: whether a window continues from the previous state."""
    kind = WindowStep if model.settings.cell in SCANS else AutogradWindow
    return kind(
        model,
        gradients,
        n_steps=training.span - 1,
        batch_size=batch_size,
        last_only=training.loss_at == "last",
        carries=carries,
    )


class AutogradWindow:
    """The same interface as WindowStep, for any cell, by autograd: for users' own cells."""

    def __init__(
        self,
        model: RecurrentCohort,
        gradients: Mapping[str, Tensor],
        *,
        n_steps: int,
        batch_size: int,
        last_only: bool,
        carries: bool,
    ) -> None:
        """As in WindowStep."""
        self._model, self._gradients = model, gradients
        self._batch_size, self._last_only, self._carries = batch_size, last_only, carries
        like, M = model.parameters["head.weight"].detach(), model.n_models
        self._symbols_MWB = like.new_zeros(M, n_steps + 1, batch_size, dtype=torch.int64)
        self._weights_MB, self._begins_M = like.new_zeros(M, batch_size), like.new_zeros(M, dtype=torch.bool)
        self.inputs = [self._symbols_MWB, self._weights_MB, self._begins_M]
        self.loss_M = like.new_zeros(M)
        # A copy: with one batch row the expanded start state is the learned parameter itself.
        self.next_state = [h_MBS.detach().clone() for h_MBS in model.initial_state(batch_size)]

    def data(self, symbols_KMWB: Tensor, weights_KMB: Tensor, begins_KM: Tensor) -> list[Tensor]:
        """As in WindowStep."""
        return [symbols_KMWB, weights_KMB, begins_KM]

    def run(self) -> None:
        """As in WindowStep."""
        loss_M = self._losses()
        gradients = torch.autograd.grad(
            loss_M.sum(), list(self._model.parameters.values()), allow_unused=True, materialize_grads=True
        )
        torch._foreach_copy_([self._gradients[name] for name in self._model.parameters], gradients)

    @torch.no_grad()
    def forward(self) -> None:
        """As in WindowStep."""
        self._losses()

    def _losses(self) -> Tensor:
        symbols_MWB, last_only = self._symbols_MWB, self._last_only
        state = self._model.initial_state(self._batch_size)
        if self._carries:
            begins_M11 = self._begins_M.view(-1, 1, 1)
            state = [torch.where(begins_M11, new, old) for new, old in zip(state, self.next_state, strict=True)]
        logits_MTBV, next_state = self._model.window(symbols_MWB[:, :-1], state, last_only=last_only)
        targets_MTB = symbols_MWB[:, -1:] if last_only else symbols_MWB[:, 1:]
        loss_MTB = _symbol_losses(logits_MTBV, targets_MTB)
        loss_M = (loss_MTB * self._weights_MB.unsqueeze(1)).flatten(1).sum(dim=1) / loss_MTB.shape[1]
        self.loss_M, self.next_state = loss_M.detach(), [h_MBS.detach() for h_MBS in next_state]
        return loss_M


Step = WindowStep | AutogradWindow


def _symbol_losses(logits_MTBV: Tensor, targets_MTB: Tensor) -> Tensor:
    """The cross-entropy of each prediction, [M, T, B], nats."""
    losses = torch.nn.functional.cross_entropy(logits_MTBV.flatten(0, 2), targets_MTB.flatten(), reduction="none")
    return losses.view(targets_MTB.shape)
