"""Training of a cohort: blocks of optimiser steps of M runs as one program.

Shapes: K steps of a block, M models, B batch rows, V vocabulary, S state, L layers, U users of a parameter.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnlab.kernels.build import NoKernelsError
from rnnlab.models.factory import CohortModel, make_cohort
from rnnlab.models.gated.gated_cohort import GatedCohort, arrangement
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort
from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.spec.regime_settings import BpttSettings, OnlineSettings
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.bptt_regime import BpttRegime
from rnnlab.training.native import NativeSteps, native_steps
from rnnlab.training.online_regime import OnlineRegime
from rnnlab.training.optimizer import CohortOptimizer
from rnnlab.training.regime import Regime
from rnnlab.training.run_state import RunState
from rnnlab.training.torch_steps import TorchSteps

# Steps whose data are laid out at once, with no look at the clock between them. On a CPU the data stay in the cache.
_SECONDS_AT_ONCE = 0.2
_BYTES_AT_ONCE = {"cpu": 2**22, "cuda": 2**28}


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
        # In the cohort they stand in another order: neighbours are alike in what they compute and how they are updated.
        self._order = _arrangement([member.config for member in members])
        self._configs = [members[m].config for m in self._order]
        self._states = [members[m].state for m in self._order]
        self._device = device
        self._first, self._second = self._stack("first_moments"), self._stack("second_moments")
        hidden_LMBS = torch.stack([state.hidden_LBS for state in self._states], dim=1).to(device)
        self._no_hidden_LBS = self._states[0].hidden_LBS[:0].clone()
        self._model = make_cohort(
            [config.model for config in self._configs],
            [state.parameters for state in self._states],
            vocabulary_size,
            device,
        )
        gradients = {name: torch.zeros_like(weight.detach()) for name, weight in self._model.parameters.items()}
        self._regime = _regime(self._model, gradients, self._configs, list(hidden_LMBS), train_tokens, device)
        self._optimizer = CohortOptimizer(
            self._model.parameters,
            gradients,
            self._model.users,
            self._first,
            self._second,
            [config.training for config in self._configs],
        )
        # The tensors of the members are in the stacks now; the caller's own would be a second set in memory.
        self._names = [list(state.parameters) for state in self._states]
        self._states = [_without_tensors(state) for state in self._states]
        self._engine = self._native_steps() or TorchSteps(
            self._regime, self._optimizer, self._configs[0].training.precision, len(self)
        )
        self._at_once = 1

    def __len__(self) -> int:
        return len(self._configs)

    @property
    def steps(self) -> list[int]:
        """Optimiser steps done by each member, in the order of the cohort."""
        return [state.step for state in self._states]

    @property
    def is_native(self) -> bool:
        """Whether the native kernels do the steps; else torch does them."""
        return isinstance(self._engine, NativeSteps)

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
        self._regime.lay_out(self.steps, n_steps)
        self._engine.plan(self.steps, n_steps)
        losses_KM = torch.empty(n_steps, len(self), device=self._device)
        done = 0
        while done < n_steps and not (done and should_stop()):
            steps = slice(done, min(done + self._at_once, n_steps))
            self._steps(done, losses_KM[steps], max_threads)
            done = steps.stop
        self._record(losses_KM[:done])
        return done

    def members(self) -> list[Member]:
        """The runs as they stand now, their tensors copied out of the cohort; in the order in which they were given."""
        hidden = [h_MBS.cpu() for h_MBS in self._regime.hidden]
        arranged = [
            Member(
                config,
                replace(
                    state,
                    parameters=self._own(m, self._model.parameters),
                    first_moments=self._own(m, self._first),
                    second_moments=self._own(m, self._second),
                    hidden_LBS=_own_copy(torch.stack([h[m] for h in hidden])) if hidden else self._no_hidden_LBS,
                ),
            )
            for m, (config, state) in enumerate(zip(self._configs, self._states, strict=True))
        ]
        return [arranged[self._order.index(m)] for m in range(len(arranged))]

    def _stack(self, kind: str) -> dict[str, Tensor]:
        """One kind of tensors of all runs: name -> [U, ...], in the order of the model's users."""
        of_each: list[dict[str, Tensor]] = [getattr(state, kind) for state in self._states]
        names = dict.fromkeys(name for own in of_each for name in own)
        return {name: torch.stack([own[name] for own in of_each if name in own]).to(self._device) for name in names}

    def _own(self, m: int, stacked: dict[str, Tensor]) -> dict[str, Tensor]:
        """Model m's rows, in the order of its own state, so that equal runs give equal checkpoint bytes."""
        return {
            name: _own_copy(stacked[name].detach()[self._model.users[name].members.index(m)])
            for name in self._names[m]
            if name in stacked
        }

    def _native_steps(self) -> NativeSteps | None:
        """The steps as a native program, where there can be one."""
        if self._device.type != "cpu" or not self._regime.on_fixed_buffers:
            return None
        try:
            trainings = [config.training for config in self._configs]
            return native_steps(self._regime, self._optimizer, trainings)
        except NoKernelsError:
            return None

    def _steps(self, first: int, losses_KM: Tensor, max_threads: int) -> None:
        """Do the optimiser steps of the block from `first` on, one for each row of `losses_KM`, for every model.

        `losses_KM` gets the losses before each step, nats per symbol.
        """
        n_steps = len(losses_KM)
        begun = time.perf_counter()
        data = self._regime.data(first, n_steps)
        self._engine(first, data, losses_KM, max_threads)
        seconds = (time.perf_counter() - begun) / n_steps
        bytes_of_step = sum(values_K[0].numel() * values_K.element_size() for values_K in data)
        self._at_once = max(1, min(int(_SECONDS_AT_ONCE / seconds), _BYTES_AT_ONCE[self._device.type] // bytes_of_step))

    def _record(self, losses_KM: Tensor) -> None:
        per_model = losses_KM.double().cpu().T.tolist()
        self._states = [
            state.recorded(losses, config.training)
            for state, losses, config in zip(self._states, per_model, self._configs, strict=True)
        ]


def _arrangement(configs: Sequence[RunConfig]) -> list[int]:
    """The order of the members: of the same gates side by side, of the same learning rate side by side."""
    by_rate = sorted(
        range(len(configs)), key=lambda m: (configs[m].training.learning_rate_at(0), configs[m].training.weight_decay)
    )
    gated = [model for m in by_rate if isinstance(model := configs[m].model, GatedSettings)]
    return [by_rate[place] for place in arrangement(gated)] if gated else by_rate


def _regime(
    model: CohortModel,
    gradients: Mapping[str, Tensor],
    configs: Sequence[RunConfig],
    hidden: list[Tensor],
    train_tokens: Tensor,
    device: torch.device,
) -> Regime:
    """What the cohort is trained on; it leaves the gradients in their buffers."""
    seeds = [config.seed for config in configs]
    if isinstance(model, GatedCohort):
        online = [config.training for config in configs if isinstance(config.training, OnlineSettings)]
        return OnlineRegime(model, gradients, online, seeds, hidden, train_tokens, device)
    assert isinstance(model, RecurrentCohort)
    bptt = [config.training for config in configs if isinstance(config.training, BpttSettings)]
    return BpttRegime(model, gradients, bptt, seeds, hidden, train_tokens, device)


def _without_tensors(state: RunState) -> RunState:
    """The step, the averages and the curve alone."""
    return replace(state, parameters={}, first_moments={}, second_moments={}, hidden_LBS=torch.empty(0))


def _own_copy(x: Tensor) -> Tensor:
    """A copy on the CPU with the strides that its shape implies: the cohort's would show in a checkpoint's bytes."""
    return x.cpu().clone(memory_format=torch.contiguous_format)


def limit_threads(model: CohortModel, max_threads: int) -> None:
    """Bound torch's threads by the smallest batch of products: more would split a product, and change its bits."""
    torch.set_num_threads(max(1, min(max_threads, model.smallest_product)))
