"""Training of a cohort: blocks of optimiser steps of M runs as one program.

Shapes: K steps of a block, M models, B batch rows, V vocabulary, S state, L layers, U users of a parameter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnlab.models.gated import GatedCohort
from rnnlab.models.online import OnlineStep
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.adam import CohortAdam
from rnnlab.training.run_state import RunState
from rnnlab.training.streams import WindowStream


@dataclass(frozen=True)
class Member:
    """One run of a cohort: what it is and where it stands."""

    config: RunConfig
    state: RunState


class Cohort:
    """M runs with equal group keys, trained together; each gets the bits that it would have had alone.

    A cohort is made from members and turned back into members; in between their tensors are stacked.
    """

    def __init__(
        self,
        members: Sequence[Member],
        train_tokens: Tensor,
        vocabulary_size: int,
        device: torch.device,
    ) -> None:
        """`train_tokens` is the training split, 1-D."""
        assert members
        assert len({member.config.group_key for member in members}) == 1
        assert not any(member.state.is_finished(member.config) for member in members)
        self._configs = [member.config for member in members]
        self._states = [member.state for member in members]
        self._model = GatedCohort(
            [config.model for config in self._configs],
            [state.parameters for state in self._states],
            vocabulary_size,
            device,
        )
        first, second = (
            {name: self._stack(name, kind).to(device) for name in self._model.parameters}
            for kind in ("first_moments", "second_moments")
        )
        self._first, self._second = first, second
        self._gradients = {name: torch.zeros_like(first[name]) for name in first}
        self._online = OnlineStep(self._model, self._gradients, self._configs[0].training.batch_size)
        self._adam = CohortAdam(
            self._model.parameters,
            self._model.users,
            first,
            second,
            [config.training.learning_rate for config in self._configs],
        )
        hidden_LMBS = torch.stack([state.hidden_LBS for state in self._states], dim=1).to(device)
        self._hidden: list[Tensor] = list(hidden_LMBS)
        self._streams = [WindowStream(config, train_tokens) for config in self._configs]
        self._device = device

    def __len__(self) -> int:
        return len(self._configs)

    @property
    def steps(self) -> list[int]:
        """Optimiser steps done by each member."""
        return [state.step for state in self._states]

    @property
    def any_finished(self) -> bool:
        """Whether a member has reached its end or diverged: then the cohort must be dissolved."""
        return any(s.is_finished(c) for c, s in zip(self._configs, self._states, strict=True))

    def run_block(self, max_steps: int, max_threads: int, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Train at most `max_steps` steps, fewer where a member reaches its end or `should_stop()` is true.

        Returns the number of steps done, at least one. `max_threads` bounds torch's threads on a CPU. Losses stay on
        the device until the end of the block.
        """
        left = min(c.target_steps - s.step for c, s in zip(self._configs, self._states, strict=True))
        n_steps = min(max_steps, left)
        limit_threads(self._model, max_threads)
        inputs_KMB, targets_KMB, resets = self._symbols(n_steps)
        factors_KM, roots_KM = self._adam.schedule(self.steps, n_steps)
        losses_KM = torch.empty(n_steps, len(self), device=self._device)
        done = 0
        while done < n_steps and not (done and should_stop()):
            self._reset_hidden(resets.get(done, []))
            losses_KM[done] = self._step(inputs_KMB[done], targets_KMB[done], factors_KM[done], roots_KM[done])
            done += 1
        self._record(losses_KM[:done])
        return done

    def members(self) -> list[Member]:
        """The runs as they stand now, their tensors copied out of the cohort."""
        hidden_LMBS = torch.stack(self._hidden).cpu()
        return [
            Member(
                config,
                replace(
                    state,
                    parameters=self._own(m, self._model.parameters),
                    first_moments=self._own(m, self._first),
                    second_moments=self._own(m, self._second),
                    hidden_LBS=_own_copy(hidden_LMBS[:, m]),
                ),
            )
            for m, (config, state) in enumerate(zip(self._configs, self._states, strict=True))
        ]

    def _stack(self, name: str, kind: str) -> Tensor:
        return torch.stack([getattr(self._states[m], kind)[name] for m in self._model.users[name].members])

    def _own(self, m: int, stacked: dict[str, Tensor]) -> dict[str, Tensor]:
        """Model m's rows, in the order of its own state, so that equal runs give equal checkpoint bytes."""
        return {
            name: _own_copy(stacked[name].detach()[self._model.users[name].members.index(m)])
            for name in self._states[m].parameters
        }

    def _symbols(self, n_steps: int) -> tuple[Tensor, Tensor, dict[int, list[int]]]:
        batch_size = self._configs[0].training.batch_size
        inputs_KMB = torch.empty(n_steps, len(self), batch_size, dtype=torch.int64)
        targets_KMB = torch.empty_like(inputs_KMB)
        resets: dict[int, list[int]] = {}
        for m, (stream, state) in enumerate(zip(self._streams, self._states, strict=True)):
            for row in stream.fill(state.step, inputs_KMB[:, m], targets_KMB[:, m]):
                resets.setdefault(row, []).append(m)
        return inputs_KMB.to(self._device), targets_KMB.to(self._device), resets

    def _reset_hidden(self, models: list[int]) -> None:
        """The state is zero at a window's start."""
        if models:
            for hidden_MBS in self._hidden:
                hidden_MBS[models] = 0.0

    def _step(self, inputs_MB: Tensor, targets_MB: Tensor, factor_M: Tensor, root_M: Tensor) -> Tensor:
        """One optimiser step of every model; returns the losses before it, [M], nats per symbol."""
        loss_M, self._hidden = self._online(inputs_MB, targets_MB, self._hidden)
        self._adam.update(list(self._gradients.values()), factor_M, root_M)
        return loss_M

    def _record(self, losses_KM: Tensor) -> None:
        per_model = losses_KM.double().cpu().T.tolist()
        self._states = [
            state.recorded(losses, config.training.record_every)
            for state, losses, config in zip(self._states, per_model, self._configs, strict=True)
        ]


def _own_copy(x: Tensor) -> Tensor:
    """A copy on the CPU with the strides that its shape implies: the cohort's would show in a checkpoint's bytes."""
    return x.cpu().clone(memory_format=torch.contiguous_format)


def limit_threads(model: GatedCohort, max_threads: int) -> None:
    """Bound torch's threads by the smallest batch of products: more would split a product, and change its bits."""
    torch.set_num_threads(max(1, min(max_threads, model.smallest_product)))
