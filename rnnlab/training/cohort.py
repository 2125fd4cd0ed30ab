"""Training of a cohort: blocks of optimizer steps of M runs as one program.

Shapes: K steps of a block, M models, B batch rows, V vocabulary, S state size, L layers, U models of a
subset.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnlab.kernels.build import NoKernelsError
from rnnlab.models.factory import CohortModel, make_cohort
from rnnlab.models.gated.gated_cohort import GatedCohort, gate_order
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort
from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.spec.regime_settings import BpttSettings, OnlineSettings
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.bptt_regime import BpttRegime
from rnnlab.training.engines.native_engine import NativeEngine, native_engine
from rnnlab.training.engines.torch_engine import TorchEngine
from rnnlab.training.online_regime import OnlineRegime
from rnnlab.training.optimizer import CohortOptimizer
from rnnlab.training.regime import Regime
from rnnlab.training.run_state import RunState

# Limits for the steps of one call of the engine: their data are prepared together, and a request to stop is not checked
# between them. On a CPU the data stay in the cache.
_CALL_SECONDS = 0.2
_CALL_BYTES = {"cpu": 2**22, "cuda": 2**28}


@dataclass(frozen=True)
class Member:
    """One run of a cohort."""

    config: RunConfig  # settings of the run
    state: RunState  # the run after the steps that it has done


class Cohort:
    """M runs with equal group keys, trained together. Each gets the bits that it would get alone.

    A cohort is built from members and converted back to members; meanwhile their tensors are stacked.
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
        # The cohort has another order: neighbors are similar in what they compute and in how they are updated.
        self._order = _member_order([member.config for member in members])
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
            self._model.subsets,
            self._first,
            self._second,
            [config.training for config in self._configs],
        )
        # The stacks hold the members' tensors now. Drop the states' tensors: they would be a second set in memory.
        self._names = [list(state.parameters) for state in self._states]
        self._states = [_without_tensors(state) for state in self._states]
        self._engine = self._native_engine() or TorchEngine(
            self._regime, self._optimizer, self._configs[0].training.precision, len(self)
        )
        self._steps_per_call = 1

    def __len__(self) -> int:
        return len(self._configs)

    @property
    def steps(self) -> list[int]:
        """The number of optimizer steps done by each member, in the order of the cohort."""
        return [state.step for state in self._states]

    @property
    def is_native(self) -> bool:
        """Whether the native kernels compute the steps; otherwise torch does."""
        return isinstance(self._engine, NativeEngine)

    @property
    def any_finished(self) -> bool:
        """Whether a member has reached its last step or diverged. Such a cohort must not be trained further."""
        return any(s.is_finished(c) for c, s in zip(self._configs, self._states, strict=True))

    def run_block(self, max_steps: int, max_threads: int, should_stop: Callable[[], bool] = lambda: False) -> int:
        """Train at most `max_steps` steps, fewer if a member reaches its last step or `should_stop()` is true.

        Returns the number of steps done, at least one. `max_threads` limits the threads on a CPU. Losses stay on the
        device until the end of the block.
        """
        remaining = min(c.target_steps - s.step for c, s in zip(self._configs, self._states, strict=True))
        n_steps = min(max_steps, remaining)
        limit_threads(self._model, max_threads)
        self._regime.prepare(self.steps, n_steps)
        self._engine.plan(self.steps, n_steps)
        losses_KM = torch.empty(n_steps, len(self), device=self._device)
        done = 0
        while done < n_steps and not (done and should_stop()):
            steps = slice(done, min(done + self._steps_per_call, n_steps))
            self._run_steps(done, losses_KM[steps], max_threads)
            done = steps.stop
        self._record(losses_KM[:done])
        return done

    def members(self) -> list[Member]:
        """The runs in their current states, with copies of their tensors, in the order in which they were given."""
        hidden = [h_MBS.cpu() for h_MBS in self._regime.hidden]
        ordered = [
            Member(
                config,
                replace(
                    state,
                    parameters=self._tensors_of(m, self._model.parameters),
                    first_moments=self._tensors_of(m, self._first),
                    second_moments=self._tensors_of(m, self._second),
                    hidden_LBS=_contiguous_copy(torch.stack([h[m] for h in hidden])) if hidden else self._no_hidden_LBS,
                ),
            )
            for m, (config, state) in enumerate(zip(self._configs, self._states, strict=True))
        ]
        return [ordered[self._order.index(m)] for m in range(len(ordered))]

    def _stack(self, kind: str) -> dict[str, Tensor]:
        """One kind of tensors of all runs: name -> [U, ...], in the order of the model's subsets."""
        of_each: list[dict[str, Tensor]] = [getattr(state, kind) for state in self._states]
        names = dict.fromkeys(name for own in of_each for name in own)
        return {name: torch.stack([own[name] for own in of_each if name in own]).to(self._device) for name in names}

    def _tensors_of(self, m: int, stacked: dict[str, Tensor]) -> dict[str, Tensor]:
        """Model m's tensors, in the order of its own state, so that equal runs give equal checkpoint bytes."""
        return {
            name: _contiguous_copy(stacked[name].detach()[self._model.subsets[name].members.index(m)])
            for name in self._names[m]
            if name in stacked
        }

    def _native_engine(self) -> NativeEngine | None:
        """The native engine, or None if the kernels are not available or not applicable."""
        if self._device.type != "cpu" or not self._regime.on_fixed_buffers:
            return None
        try:
            trainings = [config.training for config in self._configs]
            return native_engine(self._regime, self._optimizer, trainings)
        except NoKernelsError:
            return None

    def _run_steps(self, first: int, losses_KM: Tensor, max_threads: int) -> None:
        """Do K optimizer steps of the block from `first` on, for every model.

        `losses_KM` gets the losses before each step, nats per symbol.
        """
        n_steps = len(losses_KM)
        start = time.perf_counter()
        data = self._regime.data(first, n_steps)
        self._engine(first, data, losses_KM, max_threads)
        seconds = (time.perf_counter() - start) / n_steps
        bytes_of_step = sum(values_K[0].numel() * values_K.element_size() for values_K in data)
        self._steps_per_call = max(
            1, min(int(_CALL_SECONDS / seconds), _CALL_BYTES[self._device.type] // bytes_of_step)
        )

    def _record(self, losses_KM: Tensor) -> None:
        per_model = losses_KM.double().cpu().T.tolist()
        self._states = [
            state.recorded(losses, config.training)
            for state, losses, config in zip(self._states, per_model, self._configs, strict=True)
        ]


def _member_order(configs: Sequence[RunConfig]) -> list[int]:
    """The order of the members: those with the same gates, and then the same learning rate, are neighbors."""
    by_rate = sorted(
        range(len(configs)), key=lambda m: (configs[m].training.learning_rate_at(0), configs[m].training.weight_decay)
    )
    gated = [model for m in by_rate if isinstance(model := configs[m].model, GatedSettings)]
    return [by_rate[position] for position in gate_order(gated)] if gated else by_rate


def _regime(
    model: CohortModel,
    gradients: Mapping[str, Tensor],
    configs: Sequence[RunConfig],
    hidden: list[Tensor],
    train_tokens: Tensor,
    device: torch.device,
) -> Regime:
    """The regime of the cohort; it writes the gradients to their buffers."""
    seeds = [config.seed for config in configs]
    if isinstance(model, GatedCohort):
        online = [config.training for config in configs if isinstance(config.training, OnlineSettings)]
        return OnlineRegime(model, gradients, online, seeds, hidden, train_tokens, device)
    assert isinstance(model, RecurrentCohort)
    bptt = [config.training for config in configs if isinstance(config.training, BpttSettings)]
    return BpttRegime(model, gradients, bptt, seeds, hidden, train_tokens, device)


def _without_tensors(state: RunState) -> RunState:
    """The state without tensors: step, averages and curve."""
    return replace(state, parameters={}, first_moments={}, second_moments={}, hidden_LBS=torch.empty(0))


def _contiguous_copy(x: Tensor) -> Tensor:
    """A copy on the CPU with default strides: the strides are part of a checkpoint's bytes."""
    return x.cpu().clone(memory_format=torch.contiguous_format)


def limit_threads(model: CohortModel, max_threads: int) -> None:
    """Limit torch's threads to the smallest batch of products: more would split a product, and change its bits."""
    torch.set_num_threads(max(1, min(max_threads, model.smallest_product)))
