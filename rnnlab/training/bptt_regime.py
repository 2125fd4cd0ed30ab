"""The BPTT regime: the windows of a block of steps, and losses and gradients of one step.

Shapes: K steps of a block, M models, T symbols of a window, B batch rows, S state size, V vocabulary.
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
    """What a cohort is trained on, step by step. `hidden` is the carried state, empty where none is carried."""

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
        """`train_tokens` is the training split, 1-D. Trainings differ in what is free in a cohort."""
        self._training = training = trainings[0]
        self._window = window_step(
            model, gradients, training, batch_size=training.batch_size, carries=training.carry_state
        )
        self.inputs, self.n_symbols = self._window.inputs, training.span - 1
        for mine, given in zip(self.hidden, hidden, strict=True):
            mine.copy_(given)
        self._dtype = model.parameters["head.weight"].dtype
        self._samplers = [
            WindowSampler(training, seed, len(train_tokens)) for training, seed in zip(trainings, seeds, strict=True)
        ]
        self._tokens = train_tokens.to(device)
        self._offsets_T1 = torch.arange(self._training.span, device=device).view(1, -1, 1)
        self._device = device

    def lay_out(self, steps_done: Sequence[int], n_steps: int) -> None:
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
        """What `inputs` are to hold in steps `first` to `first + n_steps - 1` of those laid out."""
        of_steps = slice(first, first + n_steps)
        symbols_KMTB = self._tokens[self._starts_KMB[of_steps].unsqueeze(2) + self._offsets_T1]
        return self._window.data(symbols_KMTB, self._weights_KMB[of_steps], self._begins_KM[of_steps])

    def compute(self) -> None:
        """Mean losses (nats per symbol) of what lies ready, into `losses`; each one's gradients, into their buffers."""
        self._window.run()

    @property
    def hidden(self) -> list[Tensor]:
        """The state that is carried from step to step; empty where none is."""
        return self._window.following if self._training.carry_state else []

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
    """Losses and gradients of the model's windows; carries: whether a window goes on from the state after the last."""
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
    """As WindowStep, of any cell, by autograd: for cells of users."""

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
        """As of WindowStep."""
        self._model, self._gradients = model, gradients
        self._batch_size, self._last_only, self._carries = batch_size, last_only, carries
        like, M = model.parameters["head.weight"].detach(), model.n_models
        self._symbols_MTB = like.new_zeros(M, n_steps + 1, batch_size, dtype=torch.int64)
        self._weights_MB, self._begins_M = like.new_zeros(M, batch_size), like.new_zeros(M, dtype=torch.bool)
        self.inputs = [self._symbols_MTB, self._weights_MB, self._begins_M]
        self.loss_M = like.new_zeros(M)
        # Not the learned start state itself, where its expansion to one row needed no copy.
        self.following = [h_MBS.detach().clone() for h_MBS in model.initial_state(batch_size)]

    def data(self, symbols_KMTB: Tensor, weights_KMB: Tensor, begins_KM: Tensor) -> list[Tensor]:
        """As of WindowStep."""
        return [symbols_KMTB, weights_KMB, begins_KM]

    def run(self) -> None:
        """As of WindowStep."""
        loss_M = self._losses()
        gradients = torch.autograd.grad(
            loss_M.sum(), list(self._model.parameters.values()), allow_unused=True, materialize_grads=True
        )
        torch._foreach_copy_([self._gradients[name] for name in self._model.parameters], gradients)

    @torch.no_grad()
    def forward(self) -> None:
        """As of WindowStep."""
        self._losses()

    def _losses(self) -> Tensor:
        symbols_MTB, last_only = self._symbols_MTB, self._last_only
        state = self._model.initial_state(self._batch_size)
        if self._carries:
            begins_M11 = self._begins_M.view(-1, 1, 1)
            state = [torch.where(begins_M11, new, old) for new, old in zip(state, self.following, strict=True)]
        logits_MTBV, following = self._model.window(symbols_MTB[:, :-1], state, last_only=last_only)
        targets_MTB = symbols_MTB[:, -1:] if last_only else symbols_MTB[:, 1:]
        loss_MTB = _symbol_losses(logits_MTBV, targets_MTB)
        loss_M = (loss_MTB * self._weights_MB.unsqueeze(1)).flatten(1).sum(dim=1) / loss_MTB.shape[1]
        self.loss_M, self.following = loss_M.detach(), [h_MBS.detach() for h_MBS in following]
        return loss_M


Step = WindowStep | AutogradWindow


def _symbol_losses(logits_MTBV: Tensor, targets_MTB: Tensor) -> Tensor:
    """The cross-entropy of each prediction, [M, T, B], nats."""
    losses = torch.nn.functional.cross_entropy(logits_MTBV.flatten(0, 2), targets_MTB.flatten(), reduction="none")
    return losses.view(targets_MTB.shape)
