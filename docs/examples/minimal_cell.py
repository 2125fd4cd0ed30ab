"""The minimal gated unit, in the simplified form MGU2 (Heck and Salem 2017; Zhou et al. 2016 for the whole).

    f = s(U h + b)                     the only gate: it sees the state alone
    c = tanh(W x + b_c + V (f h))      the candidate
    h' = (1 - f) h + f c

M models of a cohort, N symbols of a window (all its steps and rows), B batch rows, S state size: every tensor has the
models in front, a weight is [M, inputs, outputs].
"""

import torch
from torch import Tensor

from rnnlab.models.cells import Cell, State, Weights
from rnnlab.models.initialise import Parameter
from rnnlab.models.numerics import affine, logistic


class Minimal(Cell):
    """An own cell: which weights a layer has, and one step. The part of the input, W x + b_c, is `Cell.project`."""

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """Weights [inputs, outputs] of one model, each with the number of inputs that its initial values depend on."""
        S = self.state_size
        return {
            "input.weight": self.weight(n_inputs, S, fan_in=n_inputs + S),
            "input.bias": self.bias(S, fan_in=n_inputs + S),
            "gate.weight": self.recurrent(1, fan_in=S),
            "gate.bias": self.bias(S, fan_in=S),
            "recurrent.weight": self.recurrent(1, fan_in=n_inputs + S),
        }

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """The next state (h',), [M, B, S]; `p_MBP` is W x + b_c of this step, as wide as `input.bias`."""
        (h,) = state
        f = logistic(affine(h, w["gate.weight"], w["gate.bias"]))
        c = torch.tanh(torch.baddbmm(p_MBP, f * h, w["recurrent.weight"]))
        return ((1 - f) * h + f * c,)
