"""The base class of the cells' scans: their buffers, and the common parts of their backward passes.

Shapes: M models, T steps of a window, B batch rows, S state size, P numbers that a step needs of its input, I inputs
and O outputs of a map.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from rnnlab.models.buffer_program import BufferProgram
from rnnlab.models.cells import Cell, Weights
from rnnlab.models.logistic import Logistic
from rnnlab.spec.cell_settings import UpdateGateSettings


class Scan(ABC):
    """One layer's steps over a window. Before `forward`, fill `p` and write the start state to `start_state()`.

    `backward` replaces `p` by the gradient with respect to it.
    """

    outputs: ClassVar[int]  # S-wide parts of p
    n_states: ClassVar[int] = 1  # tensors of state
    # Whether a recurrent bias is added to the input's bias, so that both have one gradient.
    shares_bias_gradient: ClassVar[bool] = True

    def __init__(self, cell: Cell, w: Weights, gradients: Mapping[str, Tensor], n_steps: int, batch_size: int) -> None:
        """`w`, `gradients`: the layer's parameters and the buffers for their gradients, [M, ...], by name."""
        self.w = {name: weight.detach() for name, weight in w.items()}
        self.gradients = gradients
        self.M, self.T, self.B, self.S = len(w["input.bias"]), n_steps, batch_size, cell.state_size
        self._like = self.w["input.bias"]
        self.p = self.buffer(self.T, self.outputs)
        self.h = self.buffer(self.T + 1)  # the start state, and the layer's outputs
        self.d_h = self.scratch()  # gradient with respect to the state before a step; in the end, to the start state
        self.replaces = isinstance(cell.settings, UpdateGateSettings) and cell.settings.update_gate == "replaces"
        self._minus_one = -torch.ones((), dtype=self._like.dtype, device=self._like.device)
        self.p_T, self.h_T = self.p.unbind(1), self.h.unbind(1)
        self.make_buffers()

    @abstractmethod
    def make_buffers(self) -> None:
        """Allocate the buffers of this cell."""

    @abstractmethod
    def forward(self) -> None:
        """Compute `h` from `p` and the start state."""

    @abstractmethod
    def backward(self, d_MTBS: Tensor) -> None:
        """Compute the gradients with respect to `p`, the start state and all weights except the input's.

        `d_MTBS` is the gradient with respect to `h[:, 1:]`; it is overwritten.
        """

    def start_state(self) -> list[Tensor]:
        """The buffers of the start state, [M, B, S] each."""
        return [self.h_T[0]]

    def end_state(self) -> list[Tensor]:
        """The state after the window."""
        return [self.h_T[-1]]

    def d_start(self) -> list[Tensor]:
        """The gradients with respect to the start state, after `backward`."""
        return [self.d_h]

    def input_bias(self) -> Tensor:
        """The bias that is added to the products with the input, [M, P]."""
        bias: Tensor = self.w["input.bias"]
        return bias + self.w["recurrent.bias"] if self.shares_bias_gradient and "recurrent.bias" in self.w else bias

    def input_bias_backward(self, d_MP: Tensor) -> None:
        """Write the gradient of `input_bias` to the biases that it consists of."""
        self.gradients["input.bias"].copy_(d_MP)
        if self.shares_bias_gradient and "recurrent.bias" in self.w:
            self.gradients["recurrent.bias"].copy_(d_MP)

    def buffer(self, n_steps: int, width: int = 1) -> Tensor:
        """Zeros [M, T, B, width S]."""
        return self._like.new_zeros(self.M, n_steps, self.B, width * self.S)

    def scratch(self, width: int = 1) -> Tensor:
        """Zeros [M, B, width S], contiguous. torch computes products into a slice of a longer buffer one by one."""
        return self._like.new_zeros(self.M, self.B, width * self.S)

    def activation(self, width: int = 1) -> "ActivationBuffer":
        """A scratch buffer for arguments of the logistic function and of tanh."""
        return ActivationBuffer(self.scratch(width), self._minus_one)

    def parts(self, x: Tensor, first: int, last: int | None = None) -> list[Tensor]:
        """For each step of a buffer [M, T, B, ...], its S-wide parts from `first` up to, not including, `last`."""
        return list(x[..., first * self.S : (first + 1 if last is None else last) * self.S].unbind(1))

    def transposed(self, name: str) -> Tensor:
        """A weight, transposed, [M, outputs, inputs]."""
        return self.w[name].transpose(1, 2)

    def weight_backward(self, name: str, x_MTBI: Tensor, d_MTBO: Tensor) -> None:
        """Write the gradient of a weight over the whole window, x^T d."""
        x, d = x_MTBI.flatten(1, 2), d_MTBO.flatten(1, 2)
        torch.bmm(x.transpose(1, 2), d, out=self.gradients[name])

    def bias_backward(self, name: str, d_MTBO: Tensor) -> None:
        """Write the gradient of a bias over the whole window."""
        torch.sum(d_MTBO.flatten(1, 2), dim=1, out=self.gradients[name])

    def total_gradient(self, d_T: Sequence[Tensor], t: int) -> Tensor:
        """The gradient with respect to the state after step t: through its output plus through the next step."""
        return d_T[t] if t == self.T - 1 else d_T[t].add_(self.d_h)

    def mix(self, z: Tensor, h: Tensor, c: Tensor, out: Tensor) -> None:
        """The update gate z between old state and candidate, in the convention of `update_gate`."""
        torch.lerp(h, c, z, out=out) if self.replaces else torch.lerp(c, h, z, out=out)

    def mix_backward(self, d: Tensor, z: Tensor, h: Tensor, c: Tensor, d_z: Tensor, d_c: Tensor, d_h: Tensor) -> None:
        """From the gradient with respect to the mixture, `d`, to those of z, c and h. `d_h` must not be `d`."""
        new, old, d_new, d_old = (c, h, d_c, d_h) if self.replaces else (h, c, d_h, d_c)
        torch.sub(new, old, out=d_z).mul_(d)
        torch.mul(d, z, out=d_new)
        torch.sub(d, d_new, out=d_old)


class ActivationBuffer:
    """A buffer `q` [M, B, O] that takes sign x, or twice that, and returns the logistic function, or tanh, of x.

    tanh x = 2 s(2x) - 1: its rounding error is relative to 1, not to tanh x. torch's own tanh is the slowest of its
    elementwise kernels.
    """

    def __init__(self, q: Tensor, minus_one: Tensor) -> None:
        self.q = q
        self._minus_one = minus_one
        function = Logistic(q)
        self.sign = function.sign
        self._logistic = BufferProgram()
        function.add_to(self._logistic, q)

    def of_product(self, addend: Tensor, x: Tensor, w: Tensor, factor: float = 1.0) -> None:
        """Set q to sign factor (addend + x w)."""
        scale = factor * self.sign
        torch.baddbmm(addend, x, w, beta=scale, alpha=scale, out=self.q)

    def logistic(self) -> Tensor:
        """Replace sign x by s(x)."""
        self._logistic()
        return self.q

    def tanh(self, *, out: Tensor) -> None:
        """Write tanh x to `out`; q holds twice sign x."""
        self._logistic()
        torch.add(self._minus_one, self.q, alpha=2, out=out)
