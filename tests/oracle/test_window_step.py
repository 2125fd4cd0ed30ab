"""The hand-written training step under BPTT against autograd through the plain cells, in float64."""

from typing import Any

import pytest
import torch

from rnnlab.models.cells import CELLS
from rnnlab.models.recurrent.cell_scans import SCANS
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort, parameter_shapes
from rnnlab.models.recurrent.window_step import WindowStep
from rnnlab.models.step_inputs import load_inputs
from tests.support.cells import settings_of

_M, _T, _V = 3, 4, 11  # windows have 20 or 16 symbols: more than the vocabulary has
_LARGE_V = 23
_TOLERANCE = 1e-12

_VARIANTS: dict[str, dict[str, Any]] = {
    "one-hot input": {"n_layers": 1},
    "embedding": {"n_layers": 1, "embedding_size": 3},
    "additive skips": {"n_layers": 3, "skip": "add"},
    "concatenated skips": {"n_layers": 3, "skip": "concat", "embedding_size": 2},
    "two layers": {"n_layers": 2},
}


def test_every_built_in_cell_has_a_scan() -> None:
    assert SCANS.keys() == CELLS.keys()


def _own_settings(cell: str) -> list[dict[str, Any]]:
    """The variants of a cell's settings."""
    if cell in ("rnn", "lstm"):
        return [{"linear": "joint"}, {"linear": "split"}]
    if cell in ("gru-reset-before", "gru-reset-after", "gru-update-only"):
        return [{"update_gate": "replaces"}, {"update_gate": "keeps"}]
    return [{}]


# With the second size another kernel computes the logistic function (rnnlab/models/logistic.py).
@pytest.mark.parametrize(("state_size", "batch_size"), [(6, 5), (8, 4)])
@pytest.mark.parametrize("last_only", [False, True], ids=["every position", "the last"])
@pytest.mark.parametrize("vocabulary_size", [_V, _LARGE_V], ids=["few symbols", "many symbols"])
@pytest.mark.parametrize("variant", _VARIANTS)
@pytest.mark.parametrize(("cell", "own"), [(cell, own) for cell in CELLS for own in _own_settings(cell)])
def test_losses_states_and_gradients_are_those_of_autograd(
    cell: str,
    own: dict[str, Any],
    variant: str,
    vocabulary_size: int,
    last_only: bool,
    state_size: int,
    batch_size: int,
) -> None:
    torch.manual_seed(0)
    settings = settings_of(cell, state_size=state_size, start_state="learned", **own, **_VARIANTS[variant])
    shapes = parameter_shapes(settings, vocabulary_size)
    parameters = [
        {name: torch.randn(one.shape, dtype=torch.float64) * 0.6 for name, one in shapes.items()} for _ in range(_M)
    ]
    model = RecurrentCohort([settings] * _M, parameters, vocabulary_size, torch.device("cpu"))
    symbols_MTB = torch.randint(vocabulary_size, (_M, _T + 1, batch_size))
    weights_MB = torch.rand(_M, batch_size, dtype=torch.float64)
    begins_M = torch.tensor([True, False, True])
    start = model.initial_state(batch_size)
    carried = [torch.randn_like(h) for h in start]
    state = [torch.where(begins_M.view(-1, 1, 1), new, old) for new, old in zip(start, carried, strict=True)]

    logits_MTBV, next_state = model.window(symbols_MTB[:, :-1], state, last_only=last_only)
    targets_MTB = symbols_MTB[:, -1:] if last_only else symbols_MTB[:, 1:]
    losses = torch.nn.functional.cross_entropy(logits_MTBV.flatten(0, 2), targets_MTB.flatten(), reduction="none")
    loss_MTB = losses.view(targets_MTB.shape)
    loss_M = (loss_MTB * weights_MB.unsqueeze(1)).flatten(1).sum(dim=1) / loss_MTB.shape[1]
    expected = torch.autograd.grad(loss_M.sum(), list(model.parameters.values()))

    gradients = {name: torch.full_like(weight.detach(), torch.nan) for name, weight in model.parameters.items()}
    step = WindowStep(model, gradients, n_steps=_T, batch_size=batch_size, last_only=last_only, carries=True)
    data = step.data(
        torch.stack([symbols_MTB.flip(0), symbols_MTB]),
        weights_MB.expand(2, -1, -1),
        torch.stack([~begins_M, begins_M]),
    )
    load_inputs(step.inputs, data, 0)
    step.run()  # writes to every buffer
    for place, h_MBS in zip(step.next_state, carried, strict=True):
        place.copy_(h_MBS)
    load_inputs(step.inputs, data, 1)
    step.run()
    assert (step.loss_M - loss_M).abs().max().item() <= _TOLERANCE
    for mine, after in zip(step.next_state, next_state, strict=True):
        assert (mine - after).abs().max().item() <= _TOLERANCE
    for (name, gradient), wanted in zip(gradients.items(), expected, strict=True):
        assert gradient.isfinite().all(), name
        assert (gradient - wanted).abs().max().item() <= _TOLERANCE, name
    assert any(float(wanted.abs().max()) > 1e-3 for wanted in expected)
