"""The parts of `python -m benchmarks.training` at a tiny size: nothing is said about how fast anything is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.training import alternation, studies, whole_round
from benchmarks.training.alternation import CaseResult, Entrant, Measured, Options, entrants, measure
from benchmarks.training.cases import online_case, scaling_points, target_cases
from benchmarks.training.picture import scaling_figure
from benchmarks.training.table import as_markdown, as_text
from rnnlab.analysis.plots.style import png
from tests.support.experiments import SMALL
from tests.support.paths import ROOT

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
OPTIONS = Options(rounds=2, seconds=0.01, device="cpu", cores=CORES, processes=2)


def _made_up() -> CaseResult:
    measured = [
        Measured("plain loop", [10.0, 20.0, 10.0], [1.0, 0.5, 1.0], 2_000_000),
        Measured("torch.func", [], [], 0, "failed with exit code 1"),
        Measured("JAX, 1 at once", [20.0, 20.0, 30.0], [1.0, 1.0, 1.0], 1_000_000),
        Measured("rnnlab", [40.0, 80.0, 45.0], [1.0, 1.0, 1.0], 3_000_000),
        Measured("products alone", [100.0, 100.0, 100.0], [1.0, 1.0, 1.0], 1_000_000),
    ]
    return CaseResult(target_cases("cpu")[0], measured)


def test_contenders_are_timed_in_their_own_processes() -> None:
    case = online_case("tiny", S=4, L=1, B=3, M=2)
    who = [Entrant("plain loop, 2 processes", "plain", 2), Entrant("rnnlab", "rnnlab")]
    said: list[str] = []
    result = measure(case, who, OPTIONS, said.append)
    assert [len(one.rates) for one in result.measured] == [2, 2]
    assert all(one.memory > 1_000_000 and one.rate > 0 for one in result.measured)
    assert all(0 < share < 1.5 for one in result.measured for share in one.shares)
    assert len(said) == 4


def test_a_contender_that_fails_is_left_out_and_said() -> None:
    case = online_case("tiny", S=4, L=1, B=3, M=2)
    result = measure(case, [Entrant("nobody", "nonsense")], OPTIONS, lambda _text: None)
    assert result.of("nobody") is None
    assert result.measured[0].trouble == "failed with exit code 1"
    assert "failed with exit code 1" in as_text(result)


def test_jax_is_left_out_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert "not installed" in alternation.missing("jax", "cpu")
    assert alternation.missing("plain", "cpu") == ""


def test_entrants_train_few_models_at_once_with_jax_as_well() -> None:
    case = online_case("tiny", S=4, L=1, B=3, M=16)
    names = [entrant.name for entrant in entrants(case, OPTIONS, several=True)]
    assert [name for name in names if name.startswith("JAX")] == [
        "JAX, 1 at once",
        "JAX, 4 at once",
        "JAX, all at once",
    ]
    assert "rnnlab, 2 processes" in names
    assert "rnnlab, 2 processes" not in [one.name for one in entrants(case, OPTIONS, several=False)]


def test_ratios_are_those_within_a_round() -> None:
    result = _made_up()
    own = result.of("rnnlab")
    assert own is not None
    assert result.ratios(own, "plain loop") == [4.0, 4.0, 4.5]
    text = as_text(result)
    assert "rnnlab 4.00x the plain loop, target 1.8x: met; 2.00x the best rival, JAX, 1 at once" in text
    assert "| rnnlab | 45.0 | 4.00 | 4.00-4.50 | 45% | 3 | 100% |" in as_markdown([result], OPTIONS)


def test_the_sweep_is_drawn() -> None:
    results = [(point, CaseResult(point.case, _made_up().measured)) for point in scaling_points()[:9]]
    figure = scaling_figure(results, "a note")
    assert len(figure.axes) == 8
    assert png(figure).startswith(b"\x89PNG")


def test_the_studies_run_at_a_tiny_size() -> None:
    for study in ("dynamics", "shakespeare"):
        groups = studies.groups_of(study, "tiny")
        assert sum(map(len, groups)) == {"dynamics": 432, "shakespeare": 512}[study]
        measured = [
            studies.measure_group(configs[:5], torch.device("cpu"), rounds=1, steps=3, full=False)
            for configs in (groups[0], groups[-1])
        ]
        report = studies.report(study, measured, full=False)
        assert "extrapolated" in report
        assert f"{measured[0].model_steps + measured[1].model_steps:,} model-steps" in report


def test_a_study_can_be_trained_to_its_end() -> None:
    configs = studies.groups_of("shakespeare", "tiny")[0]
    group = studies.measure_group(configs, torch.device("cpu"), rounds=1, steps=3, full=True)
    assert group.measured_steps == group.measured_plain_steps == group.model_steps == 4 * 12


def test_a_whole_round_with_real_workers(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SMALL[: SMALL.index("[[rounds]]")])
    report = whole_round.run(str(path), "", "generated", processes=2, rounds=1, say=lambda _text: None)
    assert "2 rnnlab workers" in report
    assert "core-seconds" in report


@pytest.mark.parametrize("wrong", [["--cases", "nonsense"], ["--device", "tpu"]])
def test_the_command_says_what_it_takes(wrong: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training", *wrong], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "invalid choice" in done.stderr


def test_the_command_measures_studies(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.training", "--cases", "gpu", "--scale", "tiny", "--only", "dynamics"]
    few = ["--steps", "2", "--rounds", "1", "--out", str(tmp_path / "page.md")]
    done = subprocess.run([*command, *few], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "432 runs" in done.stdout
    assert "432 runs" in (tmp_path / "page.md").read_text()
