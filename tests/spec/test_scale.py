"""A scale changes sizes, never the shape of an experiment."""

from typing import Any

import pytest

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import Experiment
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.library import find_experiment
from rnnlab.spec.round_rules import FinishedRun, plan_round
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.scale import scaled
from tests.spec.examples import CORPUS, parse

TINY: dict[str, dict[Any, int]] = {
    "state_size": {32: 8, 256: 16, 512: 24},
    "windows": {11: 4, 51: 6},
    "record_every": {50: 20, 100: 20},
    "batch_size": {256: 8},
    "window_length": {1000: 51},
}


def _all_rounds(experiment: Experiment) -> list[list[RunConfig]]:
    """The configs of every round, if the runs came out in the order in which they stand."""
    rounds = [enumerate_configs(experiment, CORPUS)]
    for rule in experiment.rounds:
        finished = [FinishedRun(run, float(place)) for place, run in enumerate(rounds[-1])]
        rounds.append(plan_round(rule, finished).configs)
    return rounds


def _shrunk(run: RunConfig) -> dict[str, Any]:
    settings = {name: TINY.get(name, {}).get(value, value) for name, value in run.settings.items()}
    return {**settings, "learning_rate": 0.005}


def test_tiny_dynamics_has_the_shape_of_dynamics() -> None:
    """Same jobs, same skipped points, same rounds: run for run, only the sizes are others."""
    full, tiny = find_experiment("dynamics"), find_experiment("dynamics", "tiny")
    assert tiny.name == "dynamics-tiny"
    assert tiny.round_names == full.round_names
    full_rounds, tiny_rounds = _all_rounds(full), _all_rounds(tiny)
    for original, small in zip(full_rounds, tiny_rounds, strict=True):
        assert [_shrunk(run) for run in original] == [run.settings for run in small]
    assert (len(tiny_rounds[0]), len(tiny_rounds[2])) == (432, 100)
    assert tiny.analysis.focus == {"state_size": 16, "use_new_state": True, "use_residual": True}


def test_only_settings_of_runs_are_replaced(small_toml: str) -> None:
    """`windows` of the evaluation is another thing, and so is a top of 2."""
    text = small_toml.replace("[model]", "evaluation = { windows = 2 }\n[model]")
    tiny = scaled(parse(text.replace("[grid]", '[scale.tiny]\nwindows = { "2" = 1 }\n[grid]')), "tiny")
    assert (tiny.evaluation.windows, tiny.training["windows"]) == (2, 1)
    assert (tiny.rounds[1].select.top, tiny.rounds[1].set) == (2, {"windows": 1})
    assert tiny.grid == parse(text).grid


def test_switches_and_texts_can_be_replaced(small_toml: str) -> None:
    text = small_toml.replace(
        "[grid]", '[scale.x]\nuse_forget_gate = { "true" = false, "false" = true }\ncell = { gated = "gated" }\n[grid]'
    )
    assert scaled(parse(text), "x").grid["use_forget_gate"] == [True, False]


def test_a_value_that_stands_nowhere_is_a_mistake(small_toml: str) -> None:
    text = small_toml.replace("[grid]", '[scale.tiny]\nlearning_rate = { "1e-3" = 0.1 }\n[grid]')
    with pytest.raises(SpecError) as caught:
        scaled(parse(text), "tiny")
    assert str(caught.value) == (
        "experiment small: scale.tiny.learning_rate replaces 1e-3, but learning_rate never has that value: write the "
        "number in decimal form (0.001 for 1e-3), or remove the entry"
    )


def test_values_that_become_equal_are_a_mistake(small_toml: str) -> None:
    text = small_toml.replace("[grid]", '[scale.tiny]\nn_layers = { "2" = 1 }\n[grid]')
    with pytest.raises(SpecError, match=r"^scale tiny of small: grid\.n_layers contains a value twice: 1, 1$"):
        scaled(parse(text), "tiny")


def test_the_windows_of_the_evaluation_can_be_fewer(small_toml: str) -> None:
    text = small_toml.replace("[model]", "evaluation = { windows = 64 }\n[model]")
    tiny = scaled(parse(text.replace("[grid]", '[scale.tiny]\n"evaluation.windows" = { "64" = 8 }\n[grid]')), "tiny")
    assert tiny.evaluation.windows == 8
    with pytest.raises(SpecError, match=r"scale\.tiny\.evaluation\.windows replaces 63"):
        scaled(parse(text.replace("[grid]", '[scale.tiny]\n"evaluation.windows" = { "63" = 8 }\n[grid]')), "tiny")


@pytest.mark.parametrize("name", ["gates", "unrolled", "shakespeare", "residual", "shakespeare-bpe", "dynamics-bpe"])
def test_a_reduced_study_keeps_its_shape(name: str) -> None:
    """As many runs, in as many groups; and nothing of it was published at that size."""
    full, tiny = find_experiment(name), find_experiment(name, "tiny")
    runs, small = enumerate_configs(full, CORPUS), enumerate_configs(tiny, CORPUS)
    assert len(small) == len(runs)
    assert len({run.group_key for run in small}) == len({run.group_key for run in runs})
    assert sum(run.target_steps for run in small) * 20 < sum(run.target_steps for run in runs)
    assert (tiny.reproduction, tiny.round_names) == (None, full.round_names)
