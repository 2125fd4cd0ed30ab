"""The steps of one recurrent layer over a window, forward and backward, without autograd.

Shapes: M models, T steps of a window, B batch rows, S state size, P numbers that a step needs of its input (cells.py).

A scan computes its cell's `step` T times, and then the gradients. Its buffers are allocated once, and are few so that
they stay in the cache: the input of a gate is replaced by the gate, and the gate by the gradient with respect to its
input.
The products with the inputs and all gradients of weights are outside the loop over time, as single products with T B
terms. The loop has only the products with the state and a few elementwise operations, each with one pass over memory.
The factors for the arguments of the logistic function and tanh are part of the product before them and cost nothing.

Every cell of cells.py has its scan in SCANS. A user's own cell has none and is trained by autograd. tests/oracle
compares each scan with autograd through `step`.
"""

import torch
from torch import Tensor

from rnnlab.models.recurrent.scan import Scan

_backward = torch.ops.aten


class RnnScan(Scan):
    """h' = tanh(p + W h)."""

    outputs = 1

    def make_buffers(self) -> None:
        """Arguments of tanh."""
        self._q = self.activation()

    def forward(self) -> None:
        """All steps."""
        w = self.w["recurrent.weight"]
        for t in range(self.T):
            self._q.of_product(self.p_T[t], self.h_T[t], w, 2)
            self._q.tanh(out=self.h_T[t + 1])

    def backward(self, d_MTBS: Tensor) -> None:
        """All steps."""
        w, d_T = self.transposed("recurrent.weight"), d_MTBS.unbind(1)
        for t in reversed(range(self.T)):
            d = self.total_gradient(d_T, t)
            _backward.tanh_backward.grad_input(d, self.h_T[t + 1], grad_input=self.p_T[t])
            torch.bmm(self.p_T[t], w, out=self.d_h)
        self.weight_backward("recurrent.weight", self.h[:, :-1], self.p)


class LstmScan(Scan):
    """(i, f, g, o) = (s, s, tanh, s)(p + W h);  m' = f m + i g;  h' = o tanh(m')."""

    outputs = 4
    n_states = 2

    def make_buffers(self) -> None:
        """Memory cells and their tanh."""
        self._m, self._tanh_m = self.buffer(self.T + 1), self.buffer(self.T)
        self._m_T, self._tanh_m_T = self._m.unbind(1), self._tanh_m.unbind(1)
        self._i_T, self._f_T, self._g_T, self._o_T = (self.parts(self.p, part) for part in range(4))
        self._q, self._q_m = self.activation(4), self.activation()
        self._q_g = self._q.q[..., 2 * self.S : 3 * self.S]
        self._x, self._y, self._d_m = self.scratch(), self.scratch(), self.scratch()

    def start_state(self) -> list[Tensor]:
        """h and m."""
        return [self.h_T[0], self._m_T[0]]

    def end_state(self) -> list[Tensor]:
        """h and m."""
        return [self.h_T[-1], self._m_T[-1]]

    def d_start(self) -> list[Tensor]:
        """The gradients of h and m."""
        return [self.d_h, self._d_m]

    def forward(self) -> None:
        """All steps."""
        w, twice = self.w["recurrent.weight"], 2 * self._q_m.sign
        for t in range(self.T):
            self._q.of_product(self.p_T[t], self.h_T[t], w)
            self._q_g.mul_(2)
            self.p_T[t].copy_(self._q.logistic())
            self._g_T[t].mul_(2).sub_(1)  # tanh(x) = 2 s(2x) - 1
            torch.mul(self._f_T[t], self._m_T[t], out=self._m_T[t + 1]).addcmul_(self._i_T[t], self._g_T[t])
            torch.mul(self._m_T[t + 1], twice, out=self._q_m.q)
            self._q_m.tanh(out=self._tanh_m_T[t])
            torch.mul(self._o_T[t], self._tanh_m_T[t], out=self.h_T[t + 1])

    def backward(self, d_MTBS: Tensor) -> None:
        """All steps."""
        w, d_T, x, y, d_m = self.transposed("recurrent.weight"), d_MTBS.unbind(1), self._x, self._y, self._d_m
        d_m.zero_()
        for t in reversed(range(self.T)):
            d, i, f, g, o = self.total_gradient(d_T, t), self._i_T[t], self._f_T[t], self._g_T[t], self._o_T[t]
            torch.mul(d, self._tanh_m_T[t], out=x)
            d.mul_(o)
            _backward.sigmoid_backward.grad_input(x, o, grad_input=o)
            _backward.tanh_backward.grad_input(d, self._tanh_m_T[t], grad_input=x)
            d_m.add_(x)
            torch.mul(d_m, g, out=x)
            torch.mul(d_m, i, out=y)
            _backward.sigmoid_backward.grad_input(x, i, grad_input=i)
            _backward.tanh_backward.grad_input(y, g, grad_input=g)
            torch.mul(d_m, self._m_T[t], out=x)
            d_m.mul_(f)
            _backward.sigmoid_backward.grad_input(x, f, grad_input=f)
            torch.bmm(self.p_T[t], w, out=self.d_h)
        self.weight_backward("recurrent.weight", self.h[:, :-1], self.p)


class GruResetBeforeScan(Scan):
    """(r, z) = s(p + W h);  c = tanh(p + W (r h));  h' = mix(z, h, c)."""

    outputs = 3

    def make_buffers(self) -> None:
        """Gated states."""
        self._rh = self.buffer(self.T)
        self._rh_T = self._rh.unbind(1)
        self._gates_T = self.parts(self.p, 0, 2)
        self._r_T, self._z_T, self._c_T = (self.parts(self.p, part) for part in range(3))
        self._q, self._q_c, self._x, self._y = self.activation(2), self.activation(), self.scratch(), self.scratch()

    def forward(self) -> None:
        """All steps."""
        w, w_c = self.w["recurrent.weight"], self.w["candidate.weight"]
        for t in range(self.T):
            h = self.h_T[t]
            self._q.of_product(self._gates_T[t], h, w)
            self._gates_T[t].copy_(self._q.logistic())
            torch.mul(self._r_T[t], h, out=self._rh_T[t])
            self._q_c.of_product(self._c_T[t], self._rh_T[t], w_c, 2)
            self._q_c.tanh(out=self._c_T[t])
            self.mix(self._z_T[t], h, self._c_T[t], out=self.h_T[t + 1])

    def backward(self, d_MTBS: Tensor) -> None:
        """All steps."""
        w, w_c = self.transposed("recurrent.weight"), self.transposed("candidate.weight")
        d_T, x, y = d_MTBS.unbind(1), self._x, self._y
        for t in reversed(range(self.T)):
            d, h, r, z, c = self.total_gradient(d_T, t), self.h_T[t], self._r_T[t], self._z_T[t], self._c_T[t]
            self.mix_backward(d, z, h, c, d_z=x, d_c=y, d_h=self.d_h)
            _backward.sigmoid_backward.grad_input(x, z, grad_input=z)
            _backward.tanh_backward.grad_input(y, c, grad_input=c)
            torch.bmm(c, w_c, out=x)  # with respect to r h
            self.d_h.addcmul_(x, r)
            x.mul_(h)
            _backward.sigmoid_backward.grad_input(x, r, grad_input=r)
            self.d_h.baddbmm_(self._gates_T[t], w)
        self.weight_backward("recurrent.weight", self.h[:, :-1], self.p[..., : 2 * self.S])
        self.weight_backward("candidate.weight", self._rh, self.p[..., 2 * self.S :])


class GruResetOnlyScan(Scan):
    """r = s(p + W h);  h' = tanh(p + W (r h))."""

    outputs = 2

    def make_buffers(self) -> None:
        """Gated states."""
        self._rh = self.buffer(self.T)
        self._rh_T, self._r_T, self._c_T = self._rh.unbind(1), self.parts(self.p, 0), self.parts(self.p, 1)
        self._q, self._x = self.activation(), self.scratch()

    def forward(self) -> None:
        """All steps."""
        w, w_c = self.w["recurrent.weight"], self.w["candidate.weight"]
        for t in range(self.T):
            self._q.of_product(self._r_T[t], self.h_T[t], w)
            self._r_T[t].copy_(self._q.logistic())
            torch.mul(self._r_T[t], self.h_T[t], out=self._rh_T[t])
            self._q.of_product(self._c_T[t], self._rh_T[t], w_c, 2)
            self._q.tanh(out=self.h_T[t + 1])

    def backward(self, d_MTBS: Tensor) -> None:
        """All steps."""
        w, w_c = self.transposed("recurrent.weight"), self.transposed("candidate.weight")
        d_T, x = d_MTBS.unbind(1), self._x
        for t in reversed(range(self.T)):
            d, r, c = self.total_gradient(d_T, t), self._r_T[t], self._c_T[t]
            _backward.tanh_backward.grad_input(d, self.h_T[t + 1], grad_input=c)
            torch.bmm(c, w_c, out=x)  # with respect to r h
            torch.mul(x, r, out=self.d_h)
            x.mul_(self.h_T[t])
            _backward.sigmoid_backward.grad_input(x, r, grad_input=r)
            self.d_h.baddbmm_(r, w)
        self.weight_backward("recurrent.weight", self.h[:, :-1], self.p[..., : self.S])
        self.weight_backward("candidate.weight", self._rh, self.p[..., self.S :])


class GruUpdateOnlyScan(Scan):
    """z = s(p + W h);  c = tanh(p + W h);  h' = mix(z, h, c)."""

    outputs = 2

    def make_buffers(self) -> None:
        """Arguments of z and c."""
        self._z_T, self._c_T = self.parts(self.p, 0), self.parts(self.p, 1)
        self._q, self._x, self._y = self.activation(2), self.scratch(), self.scratch()
        self._q_c = self._q.q[..., self.S :]

    def forward(self) -> None:
        """All steps."""
        w = self.w["recurrent.weight"]
        for t in range(self.T):
            self._q.of_product(self.p_T[t], self.h_T[t], w)
            self._q_c.mul_(2)
            self.p_T[t].copy_(self._q.logistic())
            self._c_T[t].mul_(2).sub_(1)  # tanh(x) = 2 s(2x) - 1
            self.mix(self._z_T[t], self.h_T[t], self._c_T[t], out=self.h_T[t + 1])

    def backward(self, d_MTBS: Tensor) -> None:
        """All steps."""
        w, d_T, x, y = self.transposed("recurrent.weight"), d_MTBS.unbind(1), self._x, self._y
        for t in reversed(range(self.T)):
            d, z, c = self.total_gradient(d_T, t), self._z_T[t], self._c_T[t]
            self.mix_backward(d, z, self.h_T[t], c, d_z=x, d_c=y, d_h=self.d_h)
            _backward.sigmoid_backward.grad_input(x, z, grad_input=z)
            _backward.tanh_backward.grad_input(y, c, grad_input=c)
            self.d_h.baddbmm_(self.p_T[t], w)
        self.weight_backward("recurrent.weight", self.h[:, :-1], self.p)


class GruResetAfterScan(Scan):
    """q = W h + b;  (r, z) = s(p + q);  c = tanh(p + r q);  h' = mix(z, h, c)."""

    outputs = 3
    shares_bias_gradient = False

    def make_buffers(self) -> None:
        """The candidate's part of q, and the gradient with respect to q."""
        self._q_c, self._d_q = self.buffer(self.T), self.buffer(self.T, 3)
        self._q_c_T, self._d_q_T, self._d_q_c_T = self._q_c.unbind(1), self._d_q.unbind(1), self.parts(self._d_q, 2)
        self._gates_T, self._d_q_gates_T = self.parts(self.p, 0, 2), self.parts(self._d_q, 0, 2)
        self._r_T, self._z_T, self._c_T = (self.parts(self.p, part) for part in range(3))
        self._q, self._x, self._y = self.scratch(3), self.scratch(), self.scratch()
        self._s, self._s_c = self.activation(2), self.activation()
        self._q_gates, self._q_last = self._q[..., : 2 * self.S], self._q[..., 2 * self.S :]

    def forward(self) -> None:
        """All steps."""
        w, b = self.w["recurrent.weight"], self.w["recurrent.bias"].unsqueeze(1)
        for t in range(self.T):
            torch.baddbmm(b, self.h_T[t], w, out=self._q)
            torch.add(self._gates_T[t], self._q_gates, out=self._s.q)
            if self._s.sign < 0:
                self._s.q.neg_()
            self._gates_T[t].copy_(self._s.logistic())
            self._q_c_T[t].copy_(self._q_last)
            torch.addcmul(self._c_T[t], self._r_T[t], self._q_last, out=self._s_c.q).mul_(2 * self._s_c.sign)
            self._s_c.tanh(out=self._c_T[t])
            self.mix(self._z_T[t], self.h_T[t], self._c_T[t], out=self.h_T[t + 1])

    def backward(self, d_MTBS: Tensor) -> None:
        """All steps."""
        w, d_T, x, y = self.transposed("recurrent.weight"), d_MTBS.unbind(1), self._x, self._y
        for t in reversed(range(self.T)):
            d, h, r, z, c = self.total_gradient(d_T, t), self.h_T[t], self._r_T[t], self._z_T[t], self._c_T[t]
            self.mix_backward(d, z, h, c, d_z=x, d_c=y, d_h=self.d_h)
            _backward.sigmoid_backward.grad_input(x, z, grad_input=z)
            _backward.tanh_backward.grad_input(y, c, grad_input=c)
            torch.mul(c, self._q_c_T[t], out=x)
            torch.mul(c, r, out=self._d_q_c_T[t])
            _backward.sigmoid_backward.grad_input(x, r, grad_input=r)
            self._d_q_gates_T[t].copy_(self._gates_T[t])
            self.d_h.baddbmm_(self._d_q_T[t], w)
        self.weight_backward("recurrent.weight", self.h[:, :-1], self._d_q)
        self.bias_backward("recurrent.bias", self._d_q)


class LoopAddScan(Scan):
    """h' = tanh(W (h + relu(p)) + b)."""

    outputs = 1
    shares_bias_gradient = False

    def make_buffers(self) -> None:
        """Sums of state and input, and the gradients before tanh."""
        self._u, self._d_q = self.buffer(self.T), self.buffer(self.T)
        self._u_T, self._d_q_T = self._u.unbind(1), self._d_q.unbind(1)
        self._q = self.activation()

    def forward(self) -> None:
        """All steps."""
        w, b = self.w["recurrent.weight"], self.w["recurrent.bias"].unsqueeze(1)
        self.p.relu_()
        for t in range(self.T):
            torch.add(self.h_T[t], self.p_T[t], out=self._u_T[t])
            self._q.of_product(b, self._u_T[t], w, 2)
            self._q.tanh(out=self.h_T[t + 1])

    def backward(self, d_MTBS: Tensor) -> None:
        """All steps."""
        w, d_T = self.transposed("recurrent.weight"), d_MTBS.unbind(1)
        for t in reversed(range(self.T)):
            d = self.total_gradient(d_T, t)
            _backward.tanh_backward.grad_input(d, self.h_T[t + 1], grad_input=self._d_q_T[t])
            torch.bmm(self._d_q_T[t], w, out=self.d_h)  # with respect to the sum, and so also to the state
            _backward.threshold_backward.grad_input(self.d_h, self.p_T[t], 0, grad_input=self.p_T[t])
        self.weight_backward("recurrent.weight", self._u, self._d_q)
        self.bias_backward("recurrent.bias", self._d_q)


class LoopConcatScan(Scan):
    """h' = tanh(W_h relu(p + W h) + b_h)."""

    outputs = 1

    def make_buffers(self) -> None:
        """Inputs of the outer map, and the gradients before tanh."""
        self._a, self._d_q = self.buffer(self.T), self.buffer(self.T)
        self._a_T, self._d_q_T = self._a.unbind(1), self._d_q.unbind(1)
        self._q, self._x = self.activation(), self.scratch()

    def forward(self) -> None:
        """All steps."""
        w, w_h, b_h = self.w["recurrent.weight"], self.w["hidden.weight"], self.w["hidden.bias"].unsqueeze(1)
        for t in range(self.T):
            torch.baddbmm(self.p_T[t], self.h_T[t], w, out=self._x)
            torch.clamp_min(self._x, 0, out=self._a_T[t])
            self._q.of_product(b_h, self._a_T[t], w_h, 2)
            self._q.tanh(out=self.h_T[t + 1])

    def backward(self, d_MTBS: Tensor) -> None:
        """All steps."""
        w, w_h, d_T = self.transposed("recurrent.weight"), self.transposed("hidden.weight"), d_MTBS.unbind(1)
        for t in reversed(range(self.T)):
            d = self.total_gradient(d_T, t)
            _backward.tanh_backward.grad_input(d, self.h_T[t + 1], grad_input=self._d_q_T[t])
            torch.bmm(self._d_q_T[t], w_h, out=self._x)
            _backward.threshold_backward.grad_input(self._x, self._a_T[t], 0, grad_input=self.p_T[t])
            torch.bmm(self.p_T[t], w, out=self.d_h)
        self.weight_backward("recurrent.weight", self.h[:, :-1], self.p)
        self.weight_backward("hidden.weight", self._a, self._d_q)
        self.bias_backward("hidden.bias", self._d_q)


SCANS: dict[str, type[Scan]] = {
    "rnn": RnnScan,
    "lstm": LstmScan,
    "gru-reset-before": GruResetBeforeScan,
    "gru-reset-after": GruResetAfterScan,
    "gru-reset-only": GruResetOnlyScan,
    "gru-update-only": GruUpdateOnlyScan,
    "loop-add": LoopAddScan,
    "loop-concat": LoopConcatScan,
}
