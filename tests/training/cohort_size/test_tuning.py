"""Cohort sizes: the sweep on simulated machines, and the stored sizes."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rnnlab.plans.plan import make_plan
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort_size import tuning
from rnnlab.training.cohort_size.default_size import default_cohort_size, largest_cohort
from rnnlab.training.cohort_size.measured_sizes import MeasuredSizes
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import TrainingContext

CPU = torch.device("cpu")


@pytest.fixture
def config(data_folder: Path, small_toml: str) -> RunConfig:
    """A run with the default size 16 that is large enough to be measured."""
    text = small_toml.replace("state_size = 4\n", "state_size = 16\n").replace("batch_size = 2", "batch_size = 140")
    text = text.replace("windows = 2\nl", "windows = 100000\nl")
    config = make_plan(parse_experiment(tomllib.loads(text), "x.toml"), None).first_round[0]
    assert default_cohort_size(config, CPU) == 16
    return config


class Machine:
    """A machine whose speed at each size is `curve`; sizes larger than `memory` do not fit."""

    def __init__(self, curve: Callable[[int], float], memory: int = 256) -> None:
        self.tried: list[int] = []
        self.told: list[str] = []
        self._curve = curve
        self._memory = memory

    def measure(self, config: RunConfig, size: int, max_threads: int) -> float:
        self.tried.append(size)
        if size > self._memory:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self._curve(size)

    def sizes(self, remembered: Path | None = None, stop: Callable[[], bool] = lambda: False) -> CohortSizes:
        return CohortSizes(
            TrainingContext(CPU), remembered, tell=self.told.append, should_stop=stop, measure=self.measure
        )


@pytest.mark.parametrize("best", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_the_sweep_walks_to_the_best_size(config: RunConfig, best: int) -> None:
    machine = Machine(lambda size: 100 * min(size / best, best / size))
    sizes = machine.sizes()
    assert sizes.size_for(config, 1) == sizes.size_for(config, 1) == best
    assert len(machine.tried) <= 8  # measured once
    assert machine.told == [f"cohorts of {best} measured best for group {config.group_key}: 100 model-steps/s"]


def test_a_jump_next_to_the_first_size_is_passed_on_the_better_side(config: RunConfig) -> None:
    assert Machine(lambda size: {8: 110, 16: 100, 32: 130, 64: 120}[size]).sizes().size_for(config, 1) == 32


def test_a_gain_within_the_noise_is_none(config: RunConfig) -> None:
    machine = Machine(lambda size: 100 + size / 16)
    assert machine.sizes().size_for(config, 1) == 16
    assert machine.tried == [16, 8, 32]


def test_a_first_size_that_was_disturbed_is_measured_again(config: RunConfig) -> None:
    rates = iter([10.0, 90.0, 80.0, 100.0])
    assert Machine(lambda size: next(rates)).sizes().size_for(config, 1) == 16


@pytest.mark.parametrize(("memory", "size"), [(16, 16), (100, 64), (5, 4), (1, 1), (0, 1)])
def test_out_of_memory_ends_the_sweep_at_the_smaller_size(
    config: RunConfig, tmp_path: Path, memory: int, size: int
) -> None:
    machine = Machine(float, memory)
    remembered = tmp_path / "sizes.json"
    assert machine.sizes(remembered).size_for(config, 1) == size
    assert not remembered.exists()  # there may be more free memory next time


def test_free_memory_bounds_the_sweep(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "_free_bytes", lambda device: 100)
    monkeypatch.setattr(tuning, "model_bytes", lambda config, vocabulary_size: 10)
    machine = Machine(float)
    assert machine.sizes().size_for(config, 1) == 5
    assert max(machine.tried) == 5


def test_windows_bound_the_sweep(config: RunConfig) -> None:
    training = {"regime": "bptt", "batch_size": 64, "block_size": 1024, "iterations": 10**6, "learning_rate": 1e-3}
    document = config.model_dump() | {"model": {"cell": "rnn", "state_size": 64}, "training": training}
    large = RunConfig.model_validate(document)
    assert largest_cohort(large) == 8
    assert Machine(float).sizes().size_for(large, 1) == 8


def test_the_sweep_ends_with_its_time(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("rnnlab.training.cohort_size.tuning.time.monotonic", lambda: now[0])

    def slow(size: int) -> float:
        now[0] += 1.5
        return size

    machine = Machine(slow)
    assert machine.sizes().size_for(config, 1) == 16
    assert machine.tried == [16, 8]  # twice the size would take longer than the remaining time


def test_small_runs_are_not_measured(config: RunConfig, tmp_path: Path) -> None:
    small = config.with_settings({"windows": 2})
    machine = Machine(float)
    assert machine.sizes(tmp_path / "sizes.json").size_for(small, 1) == 16
    assert (machine.tried, machine.told, list(tmp_path.glob("sizes*"))) == ([], [], [])


def test_a_stop_cuts_the_sweep_short_and_nothing_is_remembered(config: RunConfig, tmp_path: Path) -> None:
    machine = Machine(float)
    sizes = machine.sizes(tmp_path / "sizes.json", stop=lambda: True)
    assert sizes.size_for(config, 1) == 16
    assert (machine.tried, machine.told, list(tmp_path.glob("sizes*"))) == ([16], [], [])


def test_what_is_wrong_with_a_run_is_left_for_its_training(config: RunConfig) -> None:
    def broken(size: int) -> float:
        raise ZeroDivisionError

    assert Machine(broken).sizes().size_for(config, 1) == 16


def test_a_size_outlives_the_process(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "cache" / "sizes.json"
    first, second = Machine(lambda size: -abs(size - 32) + 100.0), Machine(float)
    assert first.sizes(path).size_for(config, 1) == 32
    assert second.sizes(path).unmeasured(config) == second.sizes(path).size_for(config, 1) == 32
    assert (second.tried, second.told) == ([], [])


def test_of_another_device_or_version_nothing_is_known(
    config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sizes.json"
    MeasuredSizes(path, CPU).keep("a", 8)
    monkeypatch.setattr(torch, "__version__", "99.0")
    other = MeasuredSizes(path, CPU)
    assert other.get("a") is None
    other.keep("a", 4)
    assert other.get("a") == 4
    monkeypatch.undo()
    assert MeasuredSizes(path, CPU).get("a") == 8


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\x00", b"[1]", b'{"x": 3}', b"[" * 100_000, b'{"x": {"group": "8", "more": -1}}']
)
def test_a_broken_or_foreign_file_is_replaced(config: RunConfig, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sizes.json"
    path.write_bytes(content)
    sizes = MeasuredSizes(path, CPU)
    assert sizes.get("group") is None
    sizes.keep("group", 8)
    assert sizes.get("group") == 8
    assert isinstance(json.loads(path.read_text()), dict)


def test_a_wrong_size_in_the_file_is_measured_again(config: RunConfig, tmp_path: Path) -> None:
    path = tmp_path / "sizes.json"
    MeasuredSizes(path, CPU).keep(config.group_key, 32)
    path.write_text(path.read_text().replace("32\n", '"many"\n'))
    machine = Machine(lambda size: 1.0)
    assert machine.sizes(path).size_for(config, 1) == 16
    assert machine.tried


def test_a_folder_that_cannot_be_written_is_no_error(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    sizes = MeasuredSizes(tmp_path / "file" / "sizes.json", CPU)
    sizes.keep("group", 8)
    assert sizes.get("group") is None
