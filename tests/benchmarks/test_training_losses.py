"""All contenders of benchmarks/training train the same: equal weights and equal batches give equal losses."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.training.cases import Case, bptt_case, online_case, scaling_points, target_cases
from benchmarks.training.cohort import RnnlabCohorts
from benchmarks.training.contender import make_contender
from benchmarks.training.flops import flops
from benchmarks.training.plain_loop import PlainLoop
from benchmarks.training.task import Array, Task, make_task, read_task
from rnnlab.training.run_state import DEBIASED_DECAY, EMA_DECAY

CPU = torch.device("cpu")
N_STEPS = 12
ALL_GATES = ("input_gate", "output_gate", "forget_gate", "state_gate", "new_state", "old_state")


def _with(case: Case, **settings: bool | int | float | str) -> Case:
    """The case with other settings."""
    config = case.config.with_settings(settings)
    return Case(case.name, config, case.vocabulary_size, case.n_models)


def _cases() -> list[Case]:
    online = online_case("forget and state gates", S=6, L=2, B=5, M=3)
    bptt = bptt_case("gru", S=6, L=1, B=5, T=7, M=3)
    return [
        _with(online, window_length=6),
        online_case("no gate", S=6, L=1, B=5, M=3, use_new_state=True),
        online_case("all gates", S=6, L=2, B=5, M=3, **{f"use_{name}": True for name in ALL_GATES}),
        online_case("old state", S=6, L=1, B=5, M=3, use_new_state=False, use_old_state=True, use_input_gate=True),
        bptt,
        _with(bptt, n_layers=2, start_state="learned", update_gate="replaces", embedding_size=4),
        _with(bptt, cell="rnn", linear="joint", optimizer="adam"),
    ]


CASES = {f"{number}-{case.name}": case for number, case in enumerate(_cases())}


def _rnnlab_losses(task: Task) -> Array:
    """Losses [K, M] of the first steps: what the moving average has taken in at each step."""
    contender = RnnlabCohorts(task, CPU)
    decay = EMA_DECAY if task.config.training.regime == "online" else DEBIASED_DECAY
    (cohort,) = contender.cohorts
    averages = [[member.state.ema_loss for member in cohort.members()]]
    for _ in range(N_STEPS):
        cohort.run_block(1, max_threads=1)
        averages.append([member.state.ema_loss for member in cohort.members()])
    ema = np.array(averages)
    return np.asarray((ema[1:] - decay * ema[:-1]) / (1 - decay))


@pytest.mark.parametrize("name", CASES)
def test_losses_are_those_of_rnnlab(name: str) -> None:
    task = make_task(CASES[name])
    expected_KM = _rnnlab_losses(task)
    assert np.ptp(expected_KM, axis=1).min() > 0  # other seeds, other models and other text
    kinds = {"plain": [0], "torch.func": None, "jax": None}
    if importlib.util.find_spec("jax") is None:
        del kinds["jax"]  # test_jax_is_here says so
    for kind in kinds:
        contender = make_contender(kind, task, "cpu", task.n_models if kind == "jax" else 0)
        contender.train_block()
        losses = contender.losses_KM[:N_STEPS]  # type: ignore[attr-defined]
        assert losses.dtype in (np.float32, np.float64)
        np.testing.assert_allclose(losses, expected_KM[:, : losses.shape[1]], rtol=2e-5, err_msg=kind)


def test_jax_is_here() -> None:
    pytest.importorskip("jax", reason="JAX is not installed: its losses were not compared")


def test_each_plain_process_trains_another_model() -> None:
    task = make_task(CASES["0-forget and state gates"])
    losses = []
    for number in range(3):
        contender = PlainLoop(task, CPU, number)
        contender.train_block()
        losses.append(contender.losses_KM[0, 0])
    np.testing.assert_allclose(losses, _rnnlab_losses(task)[0], rtol=2e-5)


def test_a_task_is_read_as_it_was_written(tmp_path: Path) -> None:
    task = make_task(CASES["4-gru"])
    task.write(tmp_path / "task.npz")
    again = read_task(tmp_path / "task.npz")
    assert (again.config, again.vocabulary_size, again.block_steps) == (task.config, 65, task.block_steps)
    for index in (0, task.n_blocks + 1):
        for one, other in zip(task.block(index), again.block(index), strict=True):
            np.testing.assert_array_equal(one, other)
    assert again.weights.keys() == task.weights.keys()


@pytest.mark.parametrize("name", CASES)
def test_no_more_products_are_counted_than_the_plain_loop_makes(name: str) -> None:
    """It also makes products that nothing depends on, such as the gradient towards the old state."""
    case = CASES[name]
    task = make_task(case)
    contender = PlainLoop(task, CPU)
    contender.train_block()
    with FlopCounterMode(display=False) as counter:
        contender.train_block()
    made = counter.get_total_flops() / task.block_steps
    assert 0.6 * made < flops(case.config, case.vocabulary_size) <= made


def test_products_of_the_typical_run_by_hand() -> None:
    case = target_cases("cpu")[0]
    square = 2 * 256**3  # B = S = V = 256
    candidate, gate, output, head = 2 + 2 + 1, 3 + 3 + 2, 2 + 2 + 2, 1 + 1 + 1
    assert flops(case.config, 256) == square * (2 * (candidate + 2 * gate + output) + head)


def test_the_sweep_covers_its_axes_in_both_regimes() -> None:
    points = scaling_points()
    assert len({point.case.name for point in points}) == len(points)
    for regime in ("online", "bptt"):
        for axis, ends in {"M": (1, 256), "S": (32, 512), "L": (1, 8), "B": (32, 256)}.items():
            values = {point.place[axis] for point in points if point.regime == regime and axis in point.axes}
            assert (min(values), max(values)) == ends
