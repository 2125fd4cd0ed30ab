"""A training step can be captured in a CUDA graph, as far as a CPU can show it, and a replay does the same.

A captured step must not wait for the device, copy numbers from the host, or have shapes that depend on data. The tests
watch every operation of torch in a step, for every cell, regime and optimizer.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rnnlab.models.cells import CELLS
from rnnlab.spec.run_config import RunConfig
from rnnlab.training import checkpoint
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.engines.cuda_graphs import Replay
from rnnlab.training.engines.torch_engine import TorchEngine
from rnnlab.training.run_state import fresh_state
from tests.support.cells import settings_of
from tests.support.models import all_gate_settings, bptt_config, random_tokens, run_config

_V = 97
_TOKENS = random_tokens(2_000) % _V
_CPU = torch.device("cpu")
_Replay = TypeVar("_Replay", bound=Replay)

# Each makes the host wait for the device, copies from the host, or has a result whose shape depends on data.
_UNSAFE = (
    "_local_scalar_dense",
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "unique",
    "bincount",
    "lift_fresh",
    "repeat_interleave",
)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.unsafe: list[str] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        self.operations += 1
        masks = [one for one in (args[1] if name in ("index", "index_put", "index_put_") else []) if one is not None]
        if name.startswith(_UNSAFE) or any(one.dtype == torch.bool for one in masks):
            self.unsafe.append(name)
        return func(*args, **(kwargs or {}))


class _WatchedReplay(Replay):
    """Watches the operations that a GPU would capture."""

    def __init__(self) -> None:
        super().__init__(_CPU, can_capture=False)
        self.watch = _Watch()

    def __call__(self, kind: Hashable, function: Callable[[], None]) -> None:
        with self.watch:
            function()


@pytest.fixture(autouse=True)
def _by_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps by torch, as on a GPU."""
    monkeypatch.setenv("RNNLAB_KERNELS", "torch")


def _configs() -> dict[str, list[RunConfig]]:
    trainings: list[dict[str, Any]] = [
        {"sampling": "random", "optimizer": "adamw", "iterations": 9, "learning_rate": 1e-2, "clip_norm": 0.5},
        {
            "sampling": "contiguous",
            "carry_state": True,
            "epoch_windows": 10,
            "optimizer": "sgd",
            "epochs": 4,
            "learning_rate": 1e-2,
            "weight_decay": 0.1,
        },
    ]
    found = {
        f"{cell} {training['optimizer']}": [
            bptt_config(settings_of(cell, state_size=8, start_state="learned"), seed=seed, **training)
            for seed in range(3)
        ]
        for cell in CELLS
        for training in trainings
    }
    gated = all_gate_settings(2, 8)[::9]
    return found | {"gated": [run_config(one, batch_size=5) for one in gated]}


_CONFIGS = _configs()


def _watched(cohort: Cohort, replay: _Replay) -> _Replay:
    """The replay, after it has replaced the cohort's own."""
    assert isinstance(cohort._engine, TorchEngine)
    cohort._engine.replay = replay
    return replay


def _cohort(name: str) -> Cohort:
    return Cohort([Member(one, fresh_state(one, _V)) for one in _CONFIGS[name]], _TOKENS, _V, _CPU)


@pytest.mark.parametrize("name", _CONFIGS)
def test_a_step_does_nothing_that_cannot_be_captured(name: str) -> None:
    cohort = _cohort(name)
    replay = _watched(cohort, _WatchedReplay())
    cohort.run_block(4, 1)
    assert replay.watch.operations > 4 * 20
    assert replay.watch.unsafe == []


@pytest.mark.parametrize(
    "planted",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x[x > 0],
        lambda x: torch.tensor([1.0, 2.0]),
        lambda x: torch.nonzero(x),
        lambda x: x.tolist() and float(x[0]),
    ],
)
def test_a_planted_wait_is_found(planted: Callable[[torch.Tensor], object]) -> None:
    with _Watch() as watch:
        planted(torch.ones(3))
    assert watch.unsafe


@pytest.mark.parametrize("name", _CONFIGS)
def test_the_captured_part_uses_the_same_memory_in_every_step(name: str) -> None:
    """All memory that a step reads or writes and did not allocate itself has the same addresses as in earlier steps."""
    cohort = _cohort(name)
    replay = _watched(cohort, _AddressReplay())
    cohort.run_block(3, 1)
    cohort.run_block(2, 1)
    (once,) = replay.calls.values()
    assert len(once) == 5
    assert once[0]
    assert all(call == once[0] for call in once[1:])


@pytest.mark.parametrize("name", ["gated", "lstm adamw", "lstm sgd"])
def test_several_steps_at_once_use_the_same_memory_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rnnlab.training.engines.torch_engine._GRAPH_STEPS", 2)
    cohort = _cohort(name)
    replay = _watched(cohort, _AddressReplay())
    for n_steps in (1, 2, 2, 3):
        cohort._steps_per_call = n_steps
        cohort.run_block(n_steps, 1)
    once, twice = replay.calls.values()
    assert (len(once), len(twice)) == (2, 3)
    assert all(call == once[0] for call in once)
    assert all(call == twice[0] for call in twice)


class _Devices(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names of the operations with operands on several devices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mixed: list[str] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        self.operations += 1
        if len({one.device for one in tensors}) > 1:
            self.mixed.append(func._schema.name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", _CONFIGS)
def test_a_step_on_another_device_has_all_its_operands_there(name: str) -> None:
    """On torch's meta device, which has no memory and is not the CPU."""
    device = torch.device("meta")
    members = [Member(one, fresh_state(one, _V)) for one in _CONFIGS[name]]
    cohort = Cohort(members, _TOKENS, _V, device)
    cohort._regime.prepare(cohort.steps, 4)
    cohort._engine.plan(cohort.steps, 4)
    losses_KM = torch.empty(4, len(cohort), device=device)
    with _Devices() as devices:
        cohort._engine(0, cohort._regime.data(0, 4), losses_KM, 1)
    assert devices.operations > 4 * 20
    assert devices.mixed == []


def test_operands_on_two_devices_are_found() -> None:
    with _Devices() as devices:
        torch.ones(3, device="meta")[torch.tensor([0, 1])]
    assert devices.mixed == ["aten::index"]


@pytest.mark.parametrize("name", [*_CONFIGS, "stages"])
def test_what_is_captured_once_and_replayed_has_the_bits_of_what_is_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tape is like a graph: it does the same operations with the same numbers on the same memory."""
    monkeypatch.setattr("rnnlab.training.engines.torch_engine._GRAPH_STEPS", 3)
    lstm, sampled = settings_of("lstm", state_size=8), dict[str, Any](sampling="contiguous", epoch_windows=50)
    configs = _CONFIGS.get(name) or [
        bptt_config(lstm, seed=seed, schedule=schedule, **sampled)
        for seed, schedule in enumerate(["2@0.2,1@0.1", "1@0.2,2@0.05"])
    ]
    lengths = {"iterations": 40, "epochs": 20, "windows": 2, "schedule": None}
    configs = [
        one
        if (length := lengths[one.training.duration_name]) is None
        else one.with_settings({one.training.duration_name: length})
        for one in configs
    ]
    trained = []
    for replay in (Replay(_CPU, can_capture=False), tapes := _TapeReplay()):
        cohort = Cohort([Member(one, fresh_state(one, _V)) for one in configs], _TOKENS, _V, _CPU)
        _watched(cohort, replay)
        for n_steps in (1, 1, 1, 1, 8, 3, 7, 8):
            if not cohort.any_finished:
                cohort._steps_per_call = n_steps
                cohort.run_block(n_steps, 1)
        trained.append([checkpoint.encode(one.config, one.state) for one in cohort.members()])
    assert trained[0] == trained[1]
    assert {n_steps for _, n_steps in tapes.replayed} == {1, 3}
    assert tapes.replayed.total() > len(tapes.replayed) + 2


class _TapeReplay(Replay):
    """Captures on a CPU, to tapes."""

    def __init__(self) -> None:
        super().__init__(_CPU, can_capture=False)
        self._captures = True
        self.replayed: Counter[Any] = Counter()

    def _capture(self, kind: Hashable, function: Callable[[], None]) -> bool:
        graph: Any = _Tape(lambda: self.replayed.update([kind]))
        with graph:
            function()
        self._graphs[kind] = graph
        return True


class _Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records operations while they are executed, and replays them."""

    def __init__(self, on_replay: Callable[[], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls: list[tuple[Any, Any, Any, Any]] = []
        self._on_replay = on_replay
        self._done = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._calls.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """Replay the operations, except the first time, right after they were recorded."""
        self._on_replay()
        if self._done:
            for func, args, kwargs, result in self._calls:
                self._put(func(*args, **kwargs), result)
        self._done = True

    def _put(self, new: Any, place: Any) -> None:
        """The result of an allocation goes to the memory of the recorded one."""
        if isinstance(new, torch.Tensor):
            if new.data_ptr() != place.data_ptr():
                place.copy_(new)
        elif isinstance(new, list | tuple):
            for one, other in zip(new, place, strict=True):
                self._put(one, other)


class _AddressReplay(Replay):
    def __init__(self) -> None:
        super().__init__(_CPU, can_capture=False)
        self.calls: dict[Hashable, list[list[tuple[str, int]]]] = {}

    def __call__(self, kind: Hashable, function: Callable[[], None]) -> None:
        with _Addresses() as addresses:
            function()
        self.calls.setdefault(kind, []).append(addresses.found)


class _Addresses(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """(operation, address) of every operand in memory that the step did not allocate."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[str, int]] = []
        self._allocated: list[torch.Tensor] = []  # kept alive, so that no address is used twice
        self._own: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def note(value: object) -> None:
            if isinstance(value, torch.Tensor):
                base = value.untyped_storage().data_ptr()
                if base not in self._own:
                    self.found.append((func._schema.name, value.data_ptr()))
            elif isinstance(value, list | tuple):
                for one in value:
                    note(one)

        note([*args, *(kwargs or {}).values()])
        result = func(*args, **(kwargs or {}))
        if all(returned.alias_info is None for returned in func._schema.returns):
            for one in result if isinstance(result, list | tuple) else [result]:
                if isinstance(one, torch.Tensor):
                    self._allocated.append(one)
                    self._own.add(one.untyped_storage().data_ptr())
        return result
