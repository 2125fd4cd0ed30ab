"""The BPTT regime: the windows of a block of steps, and losses and gradients of one step.

Shapes: K steps of a block, M models, T symbols of a window, B batch rows, S state size, V vocabulary.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.recurrent import RecurrentCohort
from rnnlab.models.scans import SCANS
from rnnlab.models.windows import WindowStep
from rnnlab.spec.regimes import BpttSettings
from rnnlab.training.sampler import WindowSampler


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
        self.hidden = hidden
        self._model = model
        self._training = training = trainings[0]
        last_only = training.loss_at == "last"
        self._window: WindowStep | _AutogradWindow = _AutogradWindow(model, gradients, last_only=last_only)
        if model.settings.cell in SCANS:
            self._window = WindowStep(
                model, gradients, n_steps=training.span - 1, batch_size=training.batch_size, last_only=last_only
            )
            if training.carry_state:  # from the start where it will be after each step
                self.hidden = self._window.following
                for mine, given in zip(self.hidden, hidden, strict=True):
                    mine.copy_(given)
        self._samplers = [
            WindowSampler(training, seed, len(train_tokens)) for training, seed in zip(trainings, seeds, strict=True)
        ]
        self._tokens = train_tokens.to(device)
        self._offsets_T1 = torch.arange(self._training.span, device=device).view(1, -1, 1)
        self._device = device

    def lay_out(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Choose the windows of the next `n_steps` steps."""
        batches = [sampler.batches(done, n_steps) for sampler, done in zip(self._samplers, steps_done, strict=True)]
        dtype = self._model.parameters["head.weight"].dtype
        self._starts_KMB = torch.stack([starts_KB for starts_KB, _ in batches], dim=1).to(self._device)
        self._weights_KMB = torch.stack([weights_KB for _, weights_KB in batches], dim=1).to(self._device, dtype)
        # Models that begin an epoch, for each step: as a list for the loop, which must not wait for the device.
        self._begins = [
            [sampler.begins_epoch(done + k) for sampler, done in zip(self._samplers, steps_done, strict=True)]
            for k in range(n_steps)
        ]
        self._begins_KM = torch.tensor(self._begins, device=self._device)
        if not self._training.carry_state:  # every window begins at the start state
            self._begins_KM.fill_(True)

    def stage(self, k: int) -> None:
        """Lay the data of step k of the block ready."""
        symbols_MTB = self._tokens[self._starts_KMB[k].unsqueeze(1) + self._offsets_T1]
        self._window.stage(symbols_MTB, self._weights_KMB[k], self._state_before(k), self._begins_KM[k])

    def compute(self) -> None:
        """Mean losses (nats per symbol) of what lies ready, into `losses`; each one's gradients, into their buffers."""
        self._window.run()
        if self._training.carry_state:
            self.hidden = self._window.following

    @property
    def losses(self) -> Tensor:
        """The losses of the last step, [M]."""
        return self._window.loss_M

    @property
    def on_fixed_buffers(self) -> bool:
        """Whether `compute` reads and writes the same memory each time."""
        return isinstance(self._window, WindowStep)

    def _state_before(self, k: int) -> list[Tensor]:
        if self._training.carry_state and not any(self._begins[k]):
            return self.hidden
        start = self._model.initial_state(self._training.batch_size)
        if not self._training.carry_state or all(self._begins[k]):
            return start
        begins_M11 = self._begins_KM[k].view(-1, 1, 1)
        return [torch.where(begins_M11, new, old) for new, old in zip(start, self.hidden, strict=True)]


class _AutogradWindow:
    """Losses and gradients of a window of any cell, by autograd: for cells of users."""

    def __init__(self, model: RecurrentCohort, gradients: Mapping[str, Tensor], *, last_only: bool) -> None:
        self.loss_M = torch.empty(0)
        self.following: list[Tensor] = []
        self._model = model
        self._gradients = [gradients[name] for name in model.parameters]
        self._last_only = last_only

    def stage(self, symbols_MTB: Tensor, weights_MB: Tensor, state: Sequence[Tensor], begins_M: Tensor) -> None:
        """As of WindowStep; `state` carries the gradient of a learned start state."""
        self._staged = symbols_MTB, weights_MB, state

    def run(self) -> None:
        """As of WindowStep."""
        symbols_MTB, weights_MB, state = self._staged
        symbols_MTB = symbols_MTB.long()
        logits_MTBV, following = self._model.window(symbols_MTB[:, :-1], state, last_only=self._last_only)
        targets_MTB = symbols_MTB[:, -1:] if self._last_only else symbols_MTB[:, 1:]
        loss_MTB = symbol_losses(logits_MTBV, targets_MTB)
        loss_M = (loss_MTB * weights_MB.unsqueeze(1)).flatten(1).sum(dim=1) / loss_MTB.shape[1]
        gradients = torch.autograd.grad(
            loss_M.sum(), list(self._model.parameters.values()), allow_unused=True, materialize_grads=True
        )
        torch._foreach_copy_(self._gradients, gradients)
        self.loss_M, self.following = loss_M.detach(), [h_MBS.detach() for h_MBS in following]


def symbol_losses(logits_MTBV: Tensor, targets_MTB: Tensor) -> Tensor:
    """The cross-entropy of each prediction, [M, T, B], nats."""
    losses = torch.nn.functional.cross_entropy(logits_MTBV.flatten(0, 2), targets_MTB.flatten(), reduction="none")
    return losses.view(targets_MTB.shape)
