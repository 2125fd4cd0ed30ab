"""`rnnlab bench`: what is measured, what is derived from it, and what is wrong with the command line."""

import json

import pytest

from rnnlab.cost import estimate, reference_cases
from rnnlab.training.cohort_size import tuning
from tests.support.commands import Cli, check_complaint


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_MEASURED_SECONDS", 0.01)
    monkeypatch.setattr(tuning, "_MEASURED_SECONDS", 0.01)
    monkeypatch.setattr(tuning, "_SWEEP_SECONDS", 0.2)


def test_rounds_of_an_experiment(cli: Cli) -> None:
    before = cli.tree()
    outcome = cli("bench", "small.toml", "--device", "cpu", "--processes", "3")
    assert outcome.code == 0
    assert cli.tree() == before
    groups, rounds = (block.splitlines() for block in outcome.out.strip().split("\n\n"))
    head = ["round", "cell", "n_layers", "state_size", "batch_size", "jobs", "at once", "model-steps/s", "time"]
    assert groups[0].split() == " ".join(head).split()
    rows = [line.split()[:7] for line in groups[1:]]
    assert rows[:2] == [["explore", "gated", "1", "4", "2", "2", "2"], ["explore", "gated", "2", "4", "2", "2", "2"]]
    assert {row[0] for row in rows} == {"explore", "refine", "replicate"}
    assert ["refine", "gated", "2", "6", "2", "2", "2"] in rows
    assert [line.split()[:2] for line in rounds[1:-1]] == [["explore", "4"], ["refine", "4"], ["replicate", "6"]]
    assert rounds[0].split("  ")[-2:] == ["1 process", "3 processes"]
    assert rounds[-1].startswith("all rounds    14 ")
    assert outcome.err == "later rounds are estimated for the largest models: the selected runs are not known yet\n"


@pytest.mark.parametrize("rule", ["below = 1.5", 'pareto = "parameters"'])
def test_all_runs_are_assumed_to_pass_where_nobody_can_know_how_many_do(cli: Cli, small_toml: str, rule: str) -> None:
    cli.file("small.toml", small_toml.replace("best_fraction = 0.5", rule))
    document = json.loads(cli("bench", "small.toml", "--device", "cpu", "--seconds", "0", "--json").out)
    assert [one["jobs"] for one in document["rounds"]] == [4, 8, 6]


def test_for_programs(cli: Cli) -> None:
    document = json.loads(cli("bench", "small.toml", "--device", "cpu", "--processes", "2", "--json").out)
    assert (document["device"], document["processes"]) == ("cpu", 2)
    assert [(one["name"], one["jobs"]) for one in document["rounds"]] == [
        ("explore", 4),
        ("refine", 4),
        ("replicate", 6),
    ]
    for one in document["rounds"]:
        groups = [group for group in document["groups"] if group["round"] == one["name"]]
        assert sum(group["jobs"] for group in groups) == one["jobs"]
        assert one["seconds"] == pytest.approx(sum(group["seconds"] for group in groups))
    for group in document["groups"]:
        if group["round"] == "explore":  # two windows of ten steps a job
            assert group["seconds"] == pytest.approx(group["jobs"] * 20 / group["model_steps_per_second"])
    assert document["seconds"] == pytest.approx(document["seconds_with_one_process"] / 2)
    assert document["seconds_with_one_process"] == pytest.approx(sum(one["seconds"] for one in document["rounds"]))


def test_without_time_one_group_is_measured_and_the_others_are_estimated(cli: Cli) -> None:
    outcome = cli("bench", "small.toml", "--device", "cpu", "--seconds", "0")
    rates = [line.split()[-2] for line in outcome.out.split("\n\n")[0].splitlines()[1:]]
    estimated = sum(rate.startswith("~") for rate in rates)
    assert 0 < estimated < len(rates)
    assert outcome.err.startswith(f"~: {estimated} rows estimated from the most similar measured group; ")


def test_the_machine(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard cases, without the large one."""
    name = next(iter(reference_cases._CASES))
    monkeypatch.delitem(reference_cases._CASES, name)
    outcome = cli("bench", "--seconds", "0.1", "--device", "cpu", "--json")
    cases = json.loads(outcome.out)["cases"]
    assert [case["case"] for case in cases] == list(reference_cases._CASES)
    for case in cases:
        assert case["models"] >= 1
        assert case["ratio"] == pytest.approx(case["model_steps_per_second"] / case["model_steps_per_second_alone"])
    again = cli("bench", "--seconds", "0.1", "--device", "cpu")
    assert [line.split("  ")[0] for line in again.out.splitlines()[1:]] == list(reference_cases._CASES)


def test_bad_input(cli: Cli) -> None:
    check_complaint(cli, ["bench", "nothing"], "no experiment called 'nothing': the built-in experiments are ")
    check_complaint(cli, ["bench", "--scale", "tiny"], "--scale tiny requires an experiment")
    check_complaint(cli, ["bench", "--corpus", "generated"], "--corpus generated requires an experiment")
    check_complaint(cli, ["bench", "--device", "gpu"], "--device gpu: give auto, cpu, cuda or cuda:N")
    check_complaint(cli, ["bench", "small.toml", "--corpus", "missing.txt"], "no corpus or file 'missing.txt'")
    check_complaint(cli, ["bench", "small.toml", "--processes", "0"], "--processes")
    check_complaint(cli, ["bench", "small.toml", "--seconds", "-1"], "--seconds")
