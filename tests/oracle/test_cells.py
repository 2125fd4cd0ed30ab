"""Every cell against torch.nn with copied weights, and against its textbook equation in a plain float64 loop.

Shapes: M models, B batch rows, T steps of a window, S state size, V vocabulary.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnlab.models.initialization import initial_parameters
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort, parameter_shapes
from rnnlab.spec.cell_settings import CELL_SETTINGS, RecurrentSettings
from tests.support.cells import EQUATIONS, STATE_SIZE, settings_of, textbook

_M, _B, _T, _S, _V, _E = 3, 4, 5, STATE_SIZE, 7, 3
_TOLERANCE = 1e-12  # of float64


def _cohort(settings: RecurrentSettings) -> tuple[RecurrentCohort, list[dict[str, Tensor]]]:
    """Three models; learned start states are not zero."""
    shapes = parameter_shapes(settings, _V)
    parameters = [initial_parameters(shapes, seed, torch.float64) for seed in range(_M)]
    generator = torch.Generator().manual_seed(5)
    for own in parameters:
        for name in own:
            if name.endswith(".start"):
                own[name] = torch.randn(own[name].shape, dtype=torch.float64, generator=generator)
    return RecurrentCohort([settings] * _M, parameters, _V, torch.device("cpu")), parameters


# The equations in their plain form for one model: W x for each gate separately, torch.sigmoid, no projection before
# the loop.


_VARIANTS: dict[str, list[dict[str, Any]]] = {
    name: [{}]
    if name not in ("rnn", "lstm", "gru-reset-before", "gru-reset-after", "gru-update-only")
    else [{"linear": "joint"}, {"linear": "split"}]
    if name in ("rnn", "lstm")
    else [{"update_gate": "keeps"}, {"update_gate": "replaces"}]
    for name in EQUATIONS
}
_STACKS: list[dict[str, Any]] = [
    {"n_layers": 1},
    {"n_layers": 1, "embedding_size": _E, "start_state": "learned"},
    {"n_layers": 3, "skip": "none", "embedding_size": _E},
    {"n_layers": 3, "skip": "add", "start_state": "learned"},
    {"n_layers": 3, "skip": "concat", "embedding_size": _E, "start_state": "learned"},
]
ALL_SETTINGS = [
    settings_of(cell, **variant, **stack) for cell in EQUATIONS for variant in _VARIANTS[cell] for stack in _STACKS
]


def test_every_cell_is_tested() -> None:
    assert set(EQUATIONS) == set(CELL_SETTINGS) - {"gated"}


def _loss(logits_TBV: Tensor, targets_TB: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits_TBV.flatten(0, 1), targets_TB.flatten())


@pytest.mark.parametrize("settings", ALL_SETTINGS, ids=lambda one: "-".join(map(str, one.model_dump().values())))
def test_outputs_and_gradients_equal_the_textbook_equation(settings: RecurrentSettings) -> None:
    cohort, parameters = _cohort(settings)
    generator = torch.Generator().manual_seed(0)
    ids_MTB = torch.randint(0, _V, (_M, _T, _B), generator=generator)
    targets_MTB = torch.randint(0, _V, (_M, _T, _B), generator=generator)
    logits_MTBV, _ = cohort.window(ids_MTB, cohort.initial_state(_B))
    last_M1BV, _ = cohort.window(ids_MTB, cohort.initial_state(_B), last_only=True)
    assert (last_M1BV[:, 0] - logits_MTBV[:, -1]).abs().max().item() <= _TOLERANCE
    losses = [_loss(logits_MTBV[m], targets_MTB[m]) for m in range(_M)]
    gradients = torch.autograd.grad(torch.stack(losses).sum(), list(cohort.parameters.values()))
    for m in range(_M):
        own = {name: value.clone().requires_grad_() for name, value in parameters[m].items()}
        expected = textbook(settings, own, ids_MTB[m])
        assert (logits_MTBV[m] - expected).abs().max().item() <= _TOLERANCE
        wanted = torch.autograd.grad(_loss(expected, targets_MTB[m]), list(own.values()))
        for name, gradient, right in zip(own, gradients, wanted, strict=True):
            assert right.abs().max() > 1e-6, f"{name} is not used"
            assert (gradient[m] - right).abs().max().item() <= _TOLERANCE, name


@pytest.mark.parametrize("settings", ALL_SETTINGS[4::5], ids=lambda one: one.cell)
def test_a_window_is_its_steps_one_after_the_other(settings: RecurrentSettings) -> None:
    cohort, _ = _cohort(settings)
    ids_MTB = torch.randint(0, _V, (_M, _T, _B), generator=torch.Generator().manual_seed(1))
    logits_MTBV, end = cohort.window(ids_MTB, cohort.initial_state(_B))
    state = cohort.initial_state(_B)
    for t in range(_T):
        logits_MBV, state = cohort.step(ids_MTB[:, t], state)
        assert (logits_MBV - logits_MTBV[:, t]).abs().max().item() <= 1e-14
    assert len(state) == len(end)
    assert all((mine - other).abs().max().item() <= 1e-14 for mine, other in zip(state, end, strict=True))


@pytest.mark.parametrize(
    ("cell", "module"), [("rnn", nn.RNN), ("gru-reset-after", nn.GRU), ("lstm", nn.LSTM)], ids=lambda one: str(one)
)
@pytest.mark.parametrize("embedding_size", [0, _E])
def test_split_cells_equal_torch_nn_with_copied_weights(
    cell: str, module: type[nn.RNNBase], embedding_size: int
) -> None:
    settings = settings_of(cell, n_layers=2, embedding_size=embedding_size, start_state="learned")
    cohort, _ = _cohort(settings)
    ids_MTB = torch.randint(0, _V, (_M, _T, _B), generator=torch.Generator().manual_seed(2))
    targets_MTB = torch.randint(0, _V, (_M, _T, _B), generator=torch.Generator().manual_seed(3))
    logits_MTBV, _ = cohort.window(ids_MTB, cohort.initial_state(_B))
    losses = [_loss(logits_MTBV[m], targets_MTB[m]) for m in range(_M)]
    names = list(cohort.parameters)
    gradients = dict(
        zip(names, torch.autograd.grad(torch.stack(losses).sum(), list(cohort.parameters.values())), strict=True)
    )
    for m in range(_M):
        own = {name: value[m] for name, value in cohort.parameters.items()}
        torch_model = module(embedding_size or _V, _S, num_layers=2).double()  # type: ignore[call-arg, arg-type]
        embedding, head = nn.Embedding(_V, embedding_size or 1).double(), nn.Linear(_S, _V).double()
        start = torch.stack([own[f"layers.{layer}.start"] for layer in range(2)]).detach().requires_grad_()
        places = {"weight_ih": "input.weight", "weight_hh": "recurrent.weight"}
        places |= {"bias_ih": "input.bias", "bias_hh": "recurrent.bias"}
        pairs = [(head.weight, "head.weight"), (head.bias, "head.bias")]
        pairs += [
            (getattr(torch_model, f"{theirs}_l{layer}"), f"layers.{layer}.{ours}")
            for layer in range(2)
            for theirs, ours in places.items()
        ]
        if embedding_size:
            pairs.append((embedding.weight, "embedding.weight"))
        with torch.no_grad():
            for theirs, name in pairs:
                theirs.copy_(_turned(name, own[name]))
        x = embedding(ids_MTB[m]) if embedding_size else nn.functional.one_hot(ids_MTB[m], _V).double()
        states = [start[:, n].unsqueeze(1).expand(2, _B, _S).contiguous() for n in range(start.shape[1])]
        outputs, _ = torch_model(x, tuple(states) if cell == "lstm" else states[0])
        logits = head(outputs)
        assert (logits_MTBV[m] - logits).abs().max().item() <= _TOLERANCE
        torch.autograd.backward(_loss(logits, targets_MTB[m]))
        for theirs, name in pairs:
            assert theirs.grad is not None
            assert (gradients[name][m] - _turned(name, theirs.grad)).abs().max().item() <= _TOLERANCE, name
        assert start.grad is not None
        for layer in range(2):
            assert (gradients[f"layers.{layer}.start"][m] - start.grad[layer]).abs().max() <= _TOLERANCE


def _turned(name: str, x: Tensor) -> Tensor:
    """torch.nn's weights are [outputs, inputs], except the embedding's."""
    return x.T if name.endswith("weight") and name != "embedding.weight" else x


def test_initial_values_are_torchs() -> None:
    """The largest value of a uniform draw is close to its bound; other distributions have other properties."""

    def drawn(cell: str, **more: Any) -> dict[str, Tensor]:
        return initial_parameters(parameter_shapes(settings_of(cell, state_size=64, n_layers=1, **more), 50), 0)

    def bound(values: Tensor) -> float:
        return float(values.detach().abs().max())

    split = drawn("gru-reset-after", embedding_size=100)
    like = dict(nn.GRU(100, 64).named_parameters())
    for ours, theirs in (("input", like["weight_ih_l0"]), ("recurrent", like["weight_hh_l0"])):
        assert split[f"layers.0.{ours}.weight"].T.shape == theirs.shape
        assert bound(split[f"layers.0.{ours}.weight"]) == pytest.approx(bound(theirs), rel=0.01)
        assert bound(split[f"layers.0.{ours}.bias"]) == pytest.approx(64**-0.5, rel=0.05)
    assert float(split["embedding.weight"].std()) == pytest.approx(1, rel=0.05)
    joint = drawn("rnn", embedding_size=100, linear="joint")
    assert bound(joint["layers.0.input.weight"]) == pytest.approx(164**-0.5, rel=0.01)
    assert bound(joint["layers.0.recurrent.weight"]) == pytest.approx(164**-0.5, rel=0.01)
    assert bound(joint["head.weight"]) == pytest.approx(64**-0.5, rel=0.01)
    loop = drawn("loop-add", embedding_size=100)
    assert bound(loop["layers.0.input.weight"]) == pytest.approx(0.1, rel=0.01)
    normal = drawn("gru-reset-before", weight_init="normal")
    assert float(normal["layers.0.recurrent.weight"].std()) == pytest.approx(0.01, rel=0.05)
    assert bound(normal["layers.0.input.bias"]) == bound(normal["head.bias"]) == 0


@pytest.mark.parametrize("cell", ["rnn", "gru-reset-before", "gru-reset-after", "lstm", "loop-add"])
def test_identity_and_orthogonal_recurrent_weights(cell: str) -> None:
    for kind in ("identity", "orthogonal"):
        settings = settings_of(cell, n_layers=2, recurrent_init=kind)
        drawn = initial_parameters(parameter_shapes(settings, _V), 3)
        names = [name for name in drawn if name.endswith(("recurrent.weight", "candidate.weight"))]
        assert len(names) in (2, 4)
        blocks = [block for name in names for block in torch.split(drawn[name], _S, dim=1)]
        for block in blocks:
            if kind == "identity":
                assert torch.equal(block, torch.eye(_S))
            else:
                torch.testing.assert_close(block @ block.T, torch.eye(_S), rtol=0, atol=1e-6)
        assert kind == "identity" or not torch.equal(blocks[0], blocks[-1])


def test_an_orthogonal_start_does_not_depend_on_the_threads() -> None:
    shapes = parameter_shapes(settings_of("rnn", state_size=256, recurrent_init="orthogonal"), _V)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = initial_parameters(shapes, 0)
        torch.set_num_threads(3)
        three = initial_parameters(shapes, 0)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one[name], three[name]) for name in one)
