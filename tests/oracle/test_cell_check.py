"""The public check of cells: every built-in cell passes, and each broken one fails with a helpful message."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rnnlab.models.cells import CELLS, Cell, Rnn, State, Weights
from rnnlab.models.initialization import Parameter
from rnnlab.testing import check_cell, verdicts
from tests.support.paths import ROOT

EXAMPLE = ROOT / "docs" / "examples" / "minimal_cell.py"


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_built_in_cell_passes(cell: type[Cell]) -> None:
    assert check_cell(cell) == []


class Sigmoid(Rnn):
    """torch.sigmoid rounds the last elements of a tensor differently."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        return (torch.sigmoid(self.recur(w, p_MBP, state[0])),)


class Expanded(Rnn):
    """An expanded tensor in a product: torch does not use the batched kernel."""

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        return {**super().parameters(n_inputs), "shift": self.bias(self.state_size, self.state_size)}

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        (h,) = state
        shift_MBS = w["shift"].unsqueeze(1).expand(h.shape)
        return (torch.tanh(self.recur(w, p_MBP, h) + torch.bmm(shift_MBS, w["recurrent.weight"])),)


class Remembering(Rnn):
    """Keeps the previous state in an attribute."""

    before: Tensor | None = None

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        inner = self.recur(w, p_MBP, state[0])
        if self.before is not None and self.before.shape == inner.shape:
            inner = inner + self.before
        self.before = state[0].detach()
        return (torch.tanh(inner),)


class Entangled(Rnn):
    """Keeps a state with its autograd graph."""

    before: Tensor | None = None

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        inner = self.recur(w, p_MBP, state[0])
        if self.before is not None and self.before.shape == inner.shape:
            inner = inner + self.before
        self.before = inner
        return (torch.tanh(inner),)


class Counting(Rnn):
    """Keeps a counter in its class."""

    calls = 0

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        Counting.calls += 1
        return (torch.tanh(self.recur(w, p_MBP, state[0]) * (1 + 1 / Counting.calls)),)


class Dropout(Rnn):
    """Draws random numbers."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        h = torch.tanh(self.recur(w, p_MBP, state[0]))
        return (h * (torch.rand_like(h) > 0.1),)


class Unused(Rnn):
    """Has an unused parameter."""

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        return {**super().parameters(n_inputs), "spare.bias": self.bias(self.state_size, self.state_size)}


class Detached(Rnn):
    """Its state gives no gradient, but its bias has one through the input."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        return (torch.tanh(torch.baddbmm(p_MBP, state[0], w["recurrent.weight"].detach())),)


class RootOfZero(Rnn):
    """A root whose gradient at zero is infinite."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        return (torch.tanh(self.recur(w, p_MBP, state[0]) + torch.sqrt(torch.relu(state[0] - 2) + state[0] * 0)),)


class LogOfZero(Rnn):
    """Infinite outputs."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        return (self.recur(w, p_MBP, state[0]) + torch.log(state[0].abs()),)


class Foreseeing(Rnn):
    """Averages the inputs of the whole window."""

    def project(self, w: Weights, x: Tensor) -> Tensor:
        p = super().project(w, x)
        return p + p.mean(dim=1, keepdim=True)


class MixesModels(Rnn):
    """Normalizes over the models."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        inner = self.recur(w, p_MBP, state[0])
        return (torch.tanh(inner - inner.mean(dim=0, keepdim=True) / 2),)


class MixesRows(Rnn):
    """Normalizes over the batch."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        inner = self.recur(w, p_MBP, state[0])
        return (torch.tanh(inner - inner.mean(dim=1, keepdim=True) / 2),)


class NoTuple(Rnn):
    """Returns the state itself."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        return torch.tanh(self.recur(w, p_MBP, state[0]))  # type: ignore[return-value]


class TooWide(Rnn):
    """Returns a state of twice the size."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        h = torch.tanh(self.recur(w, p_MBP, state[0]))
        return (torch.cat([h, h], dim=2),)


class OneOfTwo(Rnn):
    """Declares two states and returns one."""

    n_states = 2


class NoParameters(Rnn):
    """Returns shapes instead of parameters."""

    def parameters(self, n_inputs: int) -> dict[str, Any]:
        return {"input.weight": (n_inputs, self.state_size)}


class Empty(Rnn):
    """A parameter without elements."""

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        return {**super().parameters(n_inputs), "none": Parameter((0,), 1)}


class NoSymbols(Rnn):
    """Multiplies symbols as if they were one-hot vectors."""

    def project(self, w: Weights, x: Tensor) -> Tensor:
        return torch.baddbmm(w["input.bias"].unsqueeze(1), x, w["input.weight"])


class Double(Rnn):
    """Changes to float64."""

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        return (torch.tanh(self.recur(w, p_MBP, state[0])).double(),)


BROKEN: dict[type[Cell], tuple[str, str]] = {
    Sigmoid: ("the same bits in cohorts", "use rnnlab.cells.logistic, not torch.sigmoid"),
    Expanded: ("the same bits with 1 and 2 threads", "a product has an expanded tensor, for which"),
    Remembering: (
        "the same bits after a stop",
        "everything that a cell remembers must be in the state that step() returns",
    ),
    Entangled: ("the same bits twice", "all state must be in the result of step()"),
    Counting: ("the same bits twice", "must not count or remember anything outside of its state"),
    Dropout: ("the same bits twice", "must not draw random numbers"),
    Unused: ("finite gradients", "no gradient reaches the parameter layers.0.spare.bias: remove a parameter"),
    Detached: ("finite gradients", "no gradient reaches the parameter layers.0.recurrent.weight"),
    RootOfZero: ("finite gradients", "is not finite: check step() for divisions by zero and roots of zero"),
    LogOfZero: ("finite gradients", "the outputs of a new model are not finite"),
    Foreseeing: ("causality", "depends on later inputs: project() gets a whole window at once"),
    MixesModels: ("causality", "depends on the inputs of another: nothing may be summed"),
    MixesRows: ("causality", "another row of the batch"),
    NoTuple: ("shapes", "step() returns Tensor: it must return a tuple of n_states = 1 tensors"),
    TooWide: ("shapes", "step() returns state 1 as [2, 3, 66]: it must be [M, B, S], here [2, 3, 33]"),
    OneOfTwo: ("shapes", "step() returns 1 tensors: it must return a tuple of n_states = 2 tensors"),
    NoParameters: ("shapes", "parameters()['input.weight'] is tuple: it must be a Parameter"),
    Empty: ("shapes", "parameters()['none'] has the shape (0,)"),
    NoSymbols: ("shapes", "project() of symbols [M, N], int64, raises RuntimeError"),
    Double: ("shapes", "step() returns state 1 in torch.float64"),
}


@pytest.mark.parametrize("cell", BROKEN, ids=lambda cell: cell.__name__)
def test_a_broken_cell_fails_with_the_sentence_that_helps(cell: type[Cell]) -> None:
    title, sentence = BROKEN[cell]
    wrong = {name: complaint for name, complaint in verdicts(cell) if complaint is not None}
    assert any(name.startswith(title) and sentence in complaint for name, complaint in wrong.items()), wrong
    assert all("\n" not in complaint for complaint in wrong.values())


def test_the_documented_example_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE.parent))
    minimal_cell = __import__("minimal_cell")
    threads = torch.get_num_threads()
    assert check_cell(minimal_cell.Minimal) == []
    assert torch.get_num_threads() == threads
