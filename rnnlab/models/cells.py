"""The recurrent cells: one class and one entry of CELLS each.

Shapes: M models, T steps of a window, B batch rows, N = T B symbols read at once, I inputs of a map, S state size,
P numbers that a step needs of its input.

A cell has three parts. `parameters` says which weights one layer has, all [inputs, outputs]. `project` computes what
depends on the input alone, for all steps of a window at once, so that only the product with the state remains in the
loop over time. `step` computes the next state. Equations: x input, h old state, h' new state, c candidate, s() the
logistic function, [..] concatenation; every map has its own weight W and bias b.

Joint cells are one linear map of [x, h], as the equations are usually written: W is stored in two parts, of x ("input")
and of h ("recurrent"), both with the fan-in of the whole, and there is one bias. Split cells are torch.nn's: two maps,
each with a bias, and a bound of 1 / sqrt(S) for the initial values of both.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from rnnlab.models import initialization
from rnnlab.models.initialization import Parameter
from rnnlab.models.numerics import affine, logistic
from rnnlab.spec.cell_settings import LinearSettings, RecurrentSettings, UpdateGateSettings

State = tuple[Tensor, ...]  # [M, B, S] each; the first is the layer's output
Weights = Mapping[str, Tensor]  # the parameters of one layer of the cohort, [M, ...]

_RECURRENT_DRAWS = {"identity": initialization.identity, "orthogonal": initialization.orthogonal}


class Cell(ABC):
    """One layer. It has settings; its parameters are passed to its methods."""

    n_states: ClassVar[int] = 1  # tensors of state
    outputs: ClassVar[int] = 1  # S-wide maps of [x, h]: the candidate and the gates

    def __init__(self, settings: RecurrentSettings) -> None:
        self.settings = settings
        self.state_size = settings.state_size

    @abstractmethod
    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """The parameters of one model's layer with `n_inputs` inputs."""

    def project(self, w: Weights, x: Tensor) -> Tensor:
        """Inputs [M, N, I], or symbols int64 [M, N] that stand for one-hot inputs -> [M, N, P]."""
        return affine(x, w["input.weight"], w["input.bias"])

    @abstractmethod
    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """The next state, from the result of `project` for this step and the old state."""

    def weight(self, n_inputs: int, n_outputs: int, fan_in: int) -> Parameter:
        """A weight matrix."""
        normal = self.settings.weight_init == "normal"
        return Parameter(
            (n_inputs, n_outputs), fan_in, initialization.small_normal if normal else initialization.uniform
        )

    def bias(self, n_outputs: int, fan_in: int) -> Parameter:
        """A bias."""
        normal = self.settings.weight_init == "normal"
        return Parameter((n_outputs,), fan_in, initialization.zeros if normal else initialization.uniform)

    def recurrent(self, n_maps: int, fan_in: int) -> Parameter:
        """A weight matrix from the state to `n_maps` vectors of its size, to which `recurrent_init` applies."""
        plain = self.weight(self.state_size, n_maps * self.state_size, fan_in)
        return plain._replace(draw=_RECURRENT_DRAWS.get(self.settings.recurrent_init, plain.draw))

    def joint(self, n_inputs: int) -> dict[str, Parameter]:
        """One map of [x, h] with `outputs` vectors: fan-in I + S, one bias."""
        width, fan_in = self.outputs * self.state_size, n_inputs + self.state_size
        return {
            "input.weight": self.weight(n_inputs, width, fan_in),
            "input.bias": self.bias(width, fan_in),
            "recurrent.weight": self.recurrent(self.outputs, fan_in),
        }

    def split(self, n_inputs: int) -> dict[str, Parameter]:
        """A map of x and a map of h with `outputs` vectors each: as torch.nn, bounds 1 / sqrt(S), two biases."""
        width, fan_in = self.outputs * self.state_size, self.state_size
        return {
            "input.weight": self.weight(n_inputs, width, fan_in),
            "input.bias": self.bias(width, fan_in),
            "recurrent.weight": self.recurrent(self.outputs, fan_in),
            "recurrent.bias": self.bias(width, fan_in),
        }

    def joint_or_split(self, n_inputs: int) -> dict[str, Parameter]:
        """One map or two, by the setting `linear`."""
        as_torch = isinstance(self.settings, LinearSettings) and self.settings.linear == "split"
        return self.split(n_inputs) if as_torch else self.joint(n_inputs)

    def recur(self, w: Weights, p_MBP: Tensor, h_MBS: Tensor) -> Tensor:
        """W [x, h] + b, [M, B, outputs S]; `p_MBP` is the part of x."""
        sum_MBP = torch.baddbmm(p_MBP, h_MBS, w["recurrent.weight"])
        return sum_MBP + w["recurrent.bias"].unsqueeze(1) if "recurrent.bias" in w else sum_MBP

    def mix(self, z: Tensor, h: Tensor, c: Tensor) -> Tensor:
        """The update gate z between old state and candidate, in the convention of `update_gate`."""
        replaces = isinstance(self.settings, UpdateGateSettings) and self.settings.update_gate == "replaces"
        return (1 - z) * h + z * c if replaces else z * h + (1 - z) * c


class Rnn(Cell):
    """h' = tanh(W [x, h] + b), or as torch.nn.RNN: h' = tanh(W_x x + b_x + W_h h + b_h) (Elman 1990)."""

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """Joint or split."""
        return self.joint_or_split(n_inputs)

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """One step."""
        return (torch.tanh(self.recur(w, p_MBP, state[0])),)


class Lstm(Cell):
    """(i, f, g, o) = (s, s, tanh, s)(W [x, h] + b);  m' = f m + i g;  h' = o tanh(m').

    The state is (h, m), with m the memory cell; order of the gates as in torch.nn.LSTM (Hochreiter and Schmidhuber
    1997, Gers et al. 2000).
    """

    n_states = 2
    outputs = 4

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """Joint or split."""
        return self.joint_or_split(n_inputs)

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """One step."""
        h, m = state
        i, f, g, o = self.recur(w, p_MBP, h).chunk(4, dim=2)
        m = logistic(f) * m + logistic(i) * torch.tanh(g)
        return logistic(o) * torch.tanh(m), m


class GruResetBefore(Cell):
    """(r, z) = s(W [x, h] + b);  c = tanh(W [x, r h] + b);  h' = mix(z, h, c) (Cho et al. 2014).

    The reset gate acts before the recurrent product. Joint; the two maps are stored side by side.
    """

    outputs = 2  # of h; the candidate's part of x is a third

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """`recurrent` has the gates' part of the state, `candidate` the candidate's part."""
        S, fan_in = self.state_size, n_inputs + self.state_size
        return {
            "input.weight": self.weight(n_inputs, (self.outputs + 1) * S, fan_in),
            "input.bias": self.bias((self.outputs + 1) * S, fan_in),
            "recurrent.weight": self.recurrent(self.outputs, fan_in),
            "candidate.weight": self.recurrent(1, fan_in),
        }

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """One step."""
        (h,) = state
        S = self.state_size
        r, z = logistic(self.recur(w, p_MBP[..., : 2 * S], h)).chunk(2, dim=2)
        c = torch.tanh(torch.baddbmm(p_MBP[..., 2 * S :], r * h, w["candidate.weight"]))
        return (self.mix(z, h, c),)


class GruResetOnly(GruResetBefore):
    """r = s(W [x, h] + b);  h' = tanh(W [x, r h] + b): a GRU whose update gate discards the old state."""

    outputs = 1

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """One step."""
        (h,) = state
        S = self.state_size
        r = logistic(self.recur(w, p_MBP[..., :S], h))
        return (torch.tanh(torch.baddbmm(p_MBP[..., S:], r * h, w["candidate.weight"])),)


class GruUpdateOnly(Cell):
    """z = s(W [x, h] + b);  c = tanh(W [x, h] + b);  h' = mix(z, h, c): a GRU whose reset gate is 1. Joint."""

    outputs = 2

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """Joint."""
        return self.joint(n_inputs)

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """One step."""
        (h,) = state
        z, c = self.recur(w, p_MBP, h).chunk(2, dim=2)
        return (self.mix(logistic(z), h, torch.tanh(c)),)


class GruResetAfter(Cell):
    """(r, z) = s(W_x x + b_x + W_h h + b_h);  c = tanh(W_x x + b_x + r (W_h h + b_h));  h' = mix(z, h, c).

    torch.nn.GRU, in its order of gates: the reset gate acts after the recurrent product. Split.
    """

    outputs = 3

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """Split."""
        return self.split(n_inputs)

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """One step."""
        (h,) = state
        S = self.state_size
        q = affine(h, w["recurrent.weight"], w["recurrent.bias"])
        r, z = logistic(p_MBP[..., : 2 * S] + q[..., : 2 * S]).chunk(2, dim=2)
        c = torch.tanh(p_MBP[..., 2 * S :] + r * q[..., 2 * S :])
        return (self.mix(z, h, c),)


class LoopAdd(Cell):
    """h' = tanh(W_h (h + relu(W_in x + b_in)) + b_h): the input is added to the state (unrolled study).

    Three steps of it with the loss at the last are the study's char3.
    """

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """Two linear maps one after the other, each with its own fan-in and bias."""
        S = self.state_size
        return {
            "input.weight": self.weight(n_inputs, S, n_inputs),
            "input.bias": self.bias(S, n_inputs),
            "recurrent.weight": self.recurrent(1, S),
            "recurrent.bias": self.bias(S, S),
        }

    def project(self, w: Weights, x: Tensor) -> Tensor:
        """relu(W_in x + b_in)."""
        return torch.relu(super().project(w, x))

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """One step."""
        return (torch.tanh(affine(state[0] + p_MBP, w["recurrent.weight"], w["recurrent.bias"])),)


class LoopConcat(Cell):
    """h' = tanh(W_h relu(W_in [h, x] + b_in) + b_h): the input is concatenated to the state (unrolled study)."""

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """A joint map and after it a linear map; `recurrent_init` applies to the state's part of the first."""
        S = self.state_size
        return {**self.joint(n_inputs), "hidden.weight": self.weight(S, S, S), "hidden.bias": self.bias(S, S)}

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """One step."""
        inner = torch.relu(self.recur(w, p_MBP, state[0]))
        return (torch.tanh(affine(inner, w["hidden.weight"], w["hidden.bias"])),)


CELLS: dict[str, type[Cell]] = {
    "rnn": Rnn,
    "lstm": Lstm,
    "gru-reset-before": GruResetBefore,
    "gru-reset-after": GruResetAfter,
    "gru-reset-only": GruResetOnly,
    "gru-update-only": GruUpdateOnly,
    "loop-add": LoopAdd,
    "loop-concat": LoopConcat,
}
