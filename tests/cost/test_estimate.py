"""What `rnnlab init --dry-run` says an experiment will cost."""

import tomllib
from pathlib import Path
from statistics import fmean

import pytest
import torch

from benchmarks.gate_work import needed_flops
from rnnlab.cost import estimate as module
from rnnlab.cost.estimate import by_group, estimate, group_rates, training_seconds
from rnnlab.models.factory import count_parameters
from rnnlab.plans.plan import make_plan
from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.spec.experiment import parse_experiment
from rnnlab.spec.library import find_experiment
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort_size.measured_sizes import MeasuredSizes, default_path
from rnnlab.training.context import TrainingContext
from rnnlab.training.resources import step_flops


def _configs(text: str) -> list[RunConfig]:
    return make_plan(parse_experiment(tomllib.loads(text), "x.toml"), None).first_round


def test_estimate(data_folder: Path, small_toml: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEASURED_SECONDS", 0.05)
    configs = _configs(small_toml)
    cost = estimate(configs, torch.device("cpu"))
    counts = [count_parameters(config.model, 256) for config in configs]
    assert (cost.smallest_parameters, cost.largest_parameters) == (min(counts), max(counts))
    # A checkpoint holds weights and two moments in single precision.
    assert cost.disk_bytes == 12 * sum(counts)
    assert 0 < cost.seconds < 60


def test_time_grows_with_steps_and_jobs(data_folder: Path, small_toml: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cohort makes 20 model-steps a second in each of two groups."""
    monkeypatch.setattr(module, "model_steps_per_second", lambda context, configs, **_: 20.0)
    for windows, jobs in [(2, 2), (200, 2), (2, 4)]:
        grid = f"n_layers = {list(range(1, jobs // 2 + 1))}"
        text = small_toml.replace("n_layers = [1, 2]", grid).replace("windows = 2\nl", f"windows = {windows}\nl")
        configs = _configs(text)
        assert len(configs) == jobs
        assert estimate(configs, torch.device("cpu")).seconds == pytest.approx(jobs * windows * 10 / 20)


def test_a_remembered_cohort_size_is_used(data_folder: Path, small_toml: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def measure(context: TrainingContext, configs: list[RunConfig], **_: object) -> float:
        sizes.append(len(configs))
        return 1.0

    monkeypatch.setattr(module, "model_steps_per_second", measure)
    configs = _configs(small_toml.replace("use_forget_gate = [false, true]", "seed = [0, 1, 2, 3, 4, 5, 6]"))
    MeasuredSizes(default_path(), torch.device("cpu")).keep(configs[0].group_key, 5)
    estimate(configs, torch.device("cpu"))
    assert sorted(sizes) == [5, 7]  # the other group has no more jobs than these


def test_what_is_measured_stands_for_its_group(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dynamics grid, whose groups have models of very different cost: their products, counted one by one."""

    def measure(context: TrainingContext, configs: list[RunConfig], **_: object) -> float:
        return 1e12 / fmean(_products(config) for config in configs)

    monkeypatch.setattr(module, "model_steps_per_second", measure)
    groups = by_group(make_plan(find_experiment("dynamics"), "stdlib").first_round)
    rates = group_rates(TrainingContext(torch.device("cpu")), groups, lambda config: 2)
    for key, group in groups.items():
        assert rates[key].models == 2
        expected = sum(config.target_steps * _products(config) for config in group) / 1e12
        assert training_seconds(group, rates[key]) == pytest.approx(expected, rel=0.1)


def _products(config: RunConfig) -> int:
    assert isinstance(config.model, GatedSettings)
    return needed_flops(config.model, config.training.batch_size, vocabulary_size=256)


def test_what_is_not_measured_is_derived_from_the_nearest(
    data_folder: Path, small_toml: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sizes are far apart, with two groups each; there is time for two of the four."""
    now = [0.0]

    def measure(context: TrainingContext, configs: list[RunConfig], **_: object) -> float:
        now[0] += 1.0
        return 1e12 / fmean(step_flops(config, 256) for config in configs) * configs[0].model.state_size

    monkeypatch.setattr(module, "model_steps_per_second", measure)
    monkeypatch.setattr("rnnlab.cost.estimate.time.monotonic", lambda: now[0])
    text = small_toml.replace("state_size = 4\n\n", "\n").replace("[grid]", "[grid]\nstate_size = [4, 64]")
    groups = by_group(_configs(text))
    assert len(groups) == 4
    rates = group_rates(TrainingContext(torch.device("cpu")), groups, lambda config: 2, seconds=2.0)
    assert sum(rate.measured for rate in rates.values()) == 2
    measured = [groups[key][0].model.state_size for key, rate in rates.items() if rate.measured]
    assert sorted(measured) == [4, 64]
    for key, rate in rates.items():
        flops = fmean(step_flops(config, 256) for config in groups[key])
        expected = 1e12 / flops * groups[key][0].model.state_size
        assert rate.model_steps_per_second == pytest.approx(expected)
