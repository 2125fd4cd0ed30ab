"""The native steps against torch's: the same losses, states, gradients and updates, up to rounding."""

from typing import Any

import pytest
import torch

from rnnlab.data.batches import evaluation_positions, windows
from rnnlab.data.splits import Splits
from rnnlab.errors import KernelsError
from rnnlab.kernels import lowering
from rnnlab.models.factory import make_cohort
from rnnlab.spec.cell_settings import RecurrentSettings
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.evaluation.final_losses import final_losses
from rnnlab.training.evaluation.symbol_losses import stepwise_losses
from rnnlab.training.run_state import fresh_state
from tests.support.cells import CELLS, settings_of
from tests.support.models import all_gate_settings, bptt_config, random_tokens, residual_only, run_config

_V = 97
_TOKENS = random_tokens(3_000) % _V
_STEPS = 12
_TOLERANCE = 2e-6
# SGD: a step is linear in the gradients, so their errors stay in proportion. Adam's first steps divide by the root of
# the squared gradients, so the sign of a gradient near zero, which rounding decides, changes a parameter.
_TRAININGS: list[dict[str, Any]] = [
    {"sampling": "random", "optimizer": "sgd", "iterations": 50, "learning_rate": 0.1, "clip_norm": 0.5},
    {
        "sampling": "contiguous",
        "carry_state": True,
        "epoch_windows": 48,
        "optimizer": "sgd",
        "epochs": 9,
        "learning_rate": 0.05,
        "weight_decay": 0.1,
    },
    {"sampling": "random", "optimizer": "sgd", "iterations": 50, "learning_rate": 0.1, "loss_at": "last"},
]


@pytest.fixture(autouse=True)
def _kernels(kernels: object) -> None:
    """Every test here needs the kernels."""


def _trained(configs: list[RunConfig], monkeypatch: pytest.MonkeyPatch, arithmetic: str) -> list[Member]:
    if arithmetic == "torch":
        monkeypatch.setenv("RNNLAB_KERNELS", "torch")
    cohort = Cohort([Member(one, fresh_state(one, _V)) for one in configs], _TOKENS, _V, torch.device("cpu"))
    assert cohort.is_native == (arithmetic == "native")
    cohort.run_block(_STEPS, 1)
    return cohort.members()


def _assert_equal(configs: list[RunConfig], monkeypatch: pytest.MonkeyPatch) -> None:
    native, plain = (_trained(configs, monkeypatch, arithmetic) for arithmetic in ("native", "torch"))
    for mine, theirs in zip(native, plain, strict=True):
        assert mine.state.ema_loss == pytest.approx(theirs.state.ema_loss, rel=1e-6)
        torch.testing.assert_close(mine.state.hidden_LBS, theirs.state.hidden_LBS, rtol=0, atol=_TOLERANCE)
        fresh = fresh_state(mine.config, _V).parameters
        for name, parameter in mine.state.parameters.items():
            torch.testing.assert_close(parameter, theirs.state.parameters[name], rtol=0, atol=_TOLERANCE)
        assert max((mine.state.parameters[name] - fresh[name]).abs().max().item() for name in fresh) > 1e3 * _TOLERANCE


@pytest.mark.parametrize("training", _TRAININGS, ids=lambda one: f"{one['sampling']}-{one.get('loss_at', 'all')}")
@pytest.mark.parametrize("model", CELLS, ids=lambda one: f"{one.cell}-S{one.state_size}")
def test_every_cell_and_regime_equals_torch(
    model: RecurrentSettings, training: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _assert_equal([bptt_config(model, seed=seed, batch_size=6, **training) for seed in range(3)], monkeypatch)


@pytest.mark.parametrize(("n_layers", "state_size", "batch_size"), [(2, 7, 5), (1, 32, 32), (3, 48, 8)])
def test_every_combination_of_gates_equals_torch(
    n_layers: int, state_size: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny learning rate: the moments are averages of gradients of nearly the same model."""
    models = [*all_gate_settings(n_layers, state_size), *residual_only(n_layers, state_size)]
    configs = [run_config(one, seed=m, batch_size=batch_size, learning_rate=1e-9) for m, one in enumerate(models)]
    native, plain = (_trained(configs, monkeypatch, arithmetic) for arithmetic in ("native", "torch"))
    for mine, theirs in zip(native, plain, strict=True):
        assert mine.state.ema_loss == pytest.approx(theirs.state.ema_loss, rel=1e-6)
        torch.testing.assert_close(mine.state.hidden_LBS, theirs.state.hidden_LBS, rtol=0, atol=_TOLERANCE)
        for name, moment in mine.state.first_moments.items():
            largest = moment.abs().max().item()
            torch.testing.assert_close(moment, theirs.state.first_moments[name], rtol=0, atol=1e-5 * largest)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_equals_torch_where_no_gradient_is_close_to_zero(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses agree as long as signs of tiny gradients have made no difference."""
    configs = [
        bptt_config(
            settings_of("gru-reset-before", state_size=16),
            seed=seed,
            optimizer=optimizer,
            iterations=50,
            weight_decay=0.1 * seed,
            learning_rate=1e-3 * (1 + seed),
        )
        for seed in range(3)
    ]
    native, plain = (_trained(configs, monkeypatch, arithmetic) for arithmetic in ("native", "torch"))
    for mine, theirs in zip(native, plain, strict=True):
        assert mine.state.curve_ema_loss == pytest.approx(theirs.state.curve_ema_loss, rel=1e-5)
        for kind in ("first_moments", "second_moments"):
            torch.testing.assert_close(getattr(mine.state, kind), getattr(theirs.state, kind), rtol=1e-2, atol=1e-6)


@pytest.mark.parametrize(("cell", "n_windows"), [("gated", 4), ("lstm", 12), ("gru-reset-before", 12), ("lstm", 3)])
def test_evaluation_equals_torch_and_reading_symbol_by_symbol(
    cell: str, n_windows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each window from the start state; with BPTT in batches of 5, the last one padded, or in a smaller batch."""
    if cell == "gated":
        configs = [run_config(one, batch_size=5) for one in all_gate_settings(2, 7)[::40]]
    else:
        model = settings_of(cell, state_size=7, start_state="learned")
        training = {"sampling": "contiguous", "epoch_windows": 20, "carry_state": True, "epochs": 1}
        configs = [
            bptt_config(model, seed=seed, evaluation_windows=n_windows, learning_rate=0.1, **training)
            for seed in range(3)
        ]
    states = [fresh_state(one, _V) for one in configs]
    splits = Splits(_TOKENS[:2000], _TOKENS[2000:2500], _TOKENS[2500:])
    native = final_losses(configs, states, splits, _V, torch.device("cpu"), 2)
    cohort = make_cohort([one.model for one in configs], [one.parameters for one in states], _V, torch.device("cpu"))
    span = configs[0].training.span
    positions = evaluation_positions(len(splits.validation), span, n_windows)
    held_out = windows(splits.validation, positions, span).to(torch.int64)
    by_symbols = stepwise_losses(cohort, held_out).mean(dim=1).tolist()
    assert [one["validation"] for one in native] == pytest.approx(by_symbols, rel=1e-6)
    monkeypatch.setenv("RNNLAB_KERNELS", "torch")
    plain = final_losses(configs, states, splits, _V, torch.device("cpu"), 1)
    assert native != plain
    for mine, theirs in zip(native, plain, strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("sampling", [{"iterations": 5}, {"sampling": "contiguous", "epoch_windows": 20, "epochs": 1}])
def test_an_easier_text_is_no_better_run(sampling: dict[str, Any]) -> None:
    """The same weights have the same losses, whatever the seed of the run: the windows are the same."""
    configs = [
        bptt_config(settings_of("rnn", state_size=7), seed=seed, evaluation_windows=6, learning_rate=0.1, **sampling)
        for seed in (0, 1, 99)
    ]
    states = [fresh_state(configs[0], _V)] * 3
    splits = Splits(_TOKENS[:2000], _TOKENS[2000:2500], _TOKENS[2500:])
    first, *others = final_losses(configs, states, splits, _V, torch.device("cpu"), 1)
    assert others == [first, first]
    assert len(set(first.values())) == 3  # but each split has its own windows


def test_a_step_that_the_kernels_lack_something_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """If torch took over, the bits of a run would depend on its neighbors."""
    monkeypatch.delitem(lowering._LOWERINGS, "tanh_backward")
    config = bptt_config(settings_of("rnn", state_size=8), iterations=3, learning_rate=0.1)
    with pytest.raises(KernelsError, match=r"tanh_backward.*RNNLAB_KERNELS=torch"):
        _trained([config], monkeypatch, "native")
