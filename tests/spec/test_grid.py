"""The grid: which points, in which order."""

from collections import Counter

from rnnlab.spec.grid import enumerate_configs, grid_points, matches
from rnnlab.spec.library import find_experiment
from tests.spec.examples import CORPUS, configs_of, parse


def test_dynamics_is_the_published_grid() -> None:
    runs = enumerate_configs(find_experiment("dynamics"), CORPUS)
    assert len(runs) == len({run.hash for run in runs}) == 432
    # 3 x 2 x 2^4 gates x 3 ways to feed the output: with the residual, at both sizes; without it, at 256 only.
    shapes = Counter(
        (run.settings["n_layers"], run.settings["state_size"], run.settings["use_residual"]) for run in runs
    )
    assert shapes == {
        (layers, size, residual): 48
        for layers in (1, 2, 3)
        for size, residual in ((32, True), (256, True), (256, False))
    }
    assert all(run.settings["use_new_state"] or run.settings["use_old_state"] for run in runs)
    assert len({run.group_key for run in runs}) == 6


def test_demo_is_large_enough_to_be_a_search() -> None:
    runs = enumerate_configs(find_experiment("demo"), CORPUS)
    assert len(runs) == 96
    assert len({run.group_key for run in runs}) == 2


def test_the_last_axis_varies_fastest(small_toml: str) -> None:
    points = list(grid_points(parse(small_toml)))
    assert points == [
        {"n_layers": 1, "use_forget_gate": False},
        {"n_layers": 1, "use_forget_gate": True},
        {"n_layers": 2, "use_forget_gate": False},
        {"n_layers": 2, "use_forget_gate": True},
    ]


def test_skip_rules_leave_out_what_matches_one_of_them(small_toml: str) -> None:
    rules = """
[[skip]]
when = { n_layers = 1, use_forget_gate = [true] }
[[skip]]
when = { n_layers = 2, use_forget_gate = false }
"""
    settings = [run.settings for run in configs_of(small_toml.replace("[grid]", f"{rules}[grid]"))]
    assert [(one["n_layers"], one["use_forget_gate"]) for one in settings] == [(1, False), (2, True)]


def test_a_point_overrides_nothing_else(small_toml: str) -> None:
    for run in configs_of(small_toml):
        assert (run.settings["state_size"], run.settings["windows"], run.seed) == (4, 2, 0)


def test_seed_as_an_axis(small_toml: str) -> None:
    runs = configs_of(small_toml.replace("n_layers = [1, 2]", "n_layers = [1]\nseed = [3, 5]"))
    assert [run.seed for run in runs] == [3, 3, 5, 5]


def test_matches() -> None:
    settings = {"n_layers": 2, "use_residual": True}
    assert matches({}, settings)
    assert matches({"n_layers": [1, 2], "use_residual": True}, settings)
    assert not matches({"n_layers": [1, 2], "use_residual": False}, settings)
    assert not matches({"n_layers": 1}, settings)
    assert not matches({"linear": "joint"}, settings)
    assert not matches({"linear": ["joint", "split"], "n_layers": 2}, settings)


def test_points_are_adjusted_where_they_match(small_toml: str) -> None:
    rules = """\
[[adjust]]
when = { n_layers = 1 }
set = { use_output_gate = true }
[[adjust]]
when = { n_layers = [1, 2], use_forget_gate = true }
set = { use_state_gate = true, use_old_state = true }
"""
    runs = configs_of(small_toml.replace("[[rounds]]", rules + "[[rounds]]", 1))
    told = [
        tuple(run.settings[f"use_{name}"] for name in ("output_gate", "state_gate", "old_state", "forget_gate"))
        for run in runs
    ]
    assert told == [
        (True, False, False, False),
        (True, True, True, True),
        (False, False, False, False),
        (False, True, True, True),
    ]


def test_the_studies_are_the_published_grids() -> None:
    """gates: 8 ways to write a cell x 5 x 5 x 4; shakespeare: 2 x 4 x 4 x 4 x 4; residual: (1 + 5 x 2) x 2 x 2."""
    sizes = {"gates": 800, "shakespeare": 512, "residual": 44, "unrolled": 30}
    for name, size in sizes.items():
        runs = enumerate_configs(find_experiment(name), CORPUS)
        assert len(runs) == len({run.hash for run in runs}) == size, name
    joint = {
        (run.settings["cell"], run.settings["weight_init"], run.settings.get("linear"))
        for run in enumerate_configs(find_experiment("gates"), CORPUS)
    }
    assert joint == {
        *(
            (cell, init, {"normal": "joint", "torch": "split"}[init])
            for cell in ("rnn", "lstm")
            for init in ("normal", "torch")
        ),
        *((cell, "normal", None) for cell in ("gru-reset-before", "gru-reset-only", "gru-update-only")),
        ("gru-reset-after", "torch", None),
    }
