"""The minimal gated unit: a GRU with one gate (Zhou et al. 2016, "Minimal gated unit for recurrent neural networks").

    f = s(W_f [x, h] + b_f)           the gate, s() the logistic function
    c = tanh(W_c [x, f h] + b_c)      the candidate
    h' = (1 - f) h + f c

M models of a cohort, B batch rows, S state size, P numbers that a step needs of its input: the first axis of every
tensor is the models; a weight is [M, inputs, outputs].
"""

import torch
from torch import Tensor

from rnnlab.cells import Cell, Parameter, State, Weights, logistic


class Minimal(Cell):
    """A user-defined cell: the weights of a layer, and one step. `Cell.project` computes the part of x in both maps."""

    def parameters(self, n_inputs: int) -> dict[str, Parameter]:
        """Weights [inputs, outputs] of one model; their initial values depend on the inputs of the whole map."""
        S, fan_in = self.state_size, n_inputs + self.state_size
        return {
            "input.weight": self.weight(n_inputs, 2 * S, fan_in),  # of x: for the gate, then for the candidate
            "input.bias": self.bias(2 * S, fan_in),
            "gate.weight": self.recurrent(1, fan_in),
            "candidate.weight": self.recurrent(1, fan_in),
        }

    def step(self, w: Weights, p_MBP: Tensor, state: State) -> State:
        """The next state (h',), [M, B, S]; `p_MBP` is W x + b of this step, as wide as `input.bias`: P = 2 S."""
        (h,) = state
        gate_MBS, candidate_MBS = p_MBP.chunk(2, dim=2)
        f = logistic(torch.baddbmm(gate_MBS, h, w["gate.weight"]))
        c = torch.tanh(torch.baddbmm(candidate_MBS, f * h, w["candidate.weight"]))
        return ((1 - f) * h + f * c,)
