"""What `rnnlab init --dry-run` says an experiment will cost."""

import tomllib
from pathlib import Path

import pytest
import torch

from rnnlab import estimate as module
from rnnlab.estimate import estimate
from rnnlab.models.registry import count_parameters
from rnnlab.planning import make_plan
from rnnlab.spec.experiment import parse_experiment


def test_estimate(data_folder: Path, small_toml: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MEASURED_SECONDS", 0.05)
    configs = make_plan(parse_experiment(tomllib.loads(small_toml), "x.toml"), None).first_round
    cost = estimate(configs, torch.device("cpu"))
    counts = [count_parameters(config.model, 256) for config in configs]
    assert (cost.smallest_parameters, cost.largest_parameters) == (min(counts), max(counts))
    # A checkpoint holds weights and two moments in single precision.
    assert cost.disk_bytes == 12 * sum(counts)
    assert 0 < cost.seconds < 60


def test_time_grows_with_steps_and_jobs(data_folder: Path, small_toml: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cohort of two that makes ten steps in a second: 20 model-steps a second in each of two groups."""
    monkeypatch.setattr(module, "_timed_block", lambda cohort, max_steps: (1.0, 10))
    monkeypatch.setattr(module, "cohort_size", lambda config, device: 2)
    for windows, jobs in [(2, 2), (200, 2), (2, 4)]:
        grid = f"n_layers = {list(range(1, jobs // 2 + 1))}"
        text = small_toml.replace("n_layers = [1, 2]", grid).replace("windows = 2\nl", f"windows = {windows}\nl")
        configs = make_plan(parse_experiment(tomllib.loads(text), "x.toml"), None).first_round
        assert len(configs) == jobs
        assert estimate(configs, torch.device("cpu")).seconds == pytest.approx(jobs * windows * 10 / 20)
