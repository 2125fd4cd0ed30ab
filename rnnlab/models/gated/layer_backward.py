"""The backward pass of one layer of the gated cohort, as a program on fixed buffers, without autograd.

Shapes: M models, B batch rows, S state size, U users of a part (some of the M). Equations and names: gated.py.

The state is detached at every symbol, so no gradient flows to the old state: of the gradient towards c = [x, h] only
the x half is computed, but for models with an input gate, where c depends on the gate's weights.

What gets no gradient at all is left out, and its gradient stays zero: candidate, state and forget gate of models whose
output does not see the new state, and the lower layers of models whose output does not see the input.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnlab.models.buffer_program import Program, Rows
from rnnlab.models.gated.layer_forward import (
    SOURCES,
    GatedLayer,
    Who,
    has_forget_gate,
    has_input_gate,
    has_output_gate,
    has_state_gate,
)
from rnnlab.spec.cell_settings import GatedSettings

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input  # d y (1 - y)
_tanh_backward = torch.ops.aten.tanh_backward.grad_input  # d (1 - y y)


def passes_down(settings: GatedSettings) -> bool:
    """Whether a layer's input gets a gradient."""
    gated_state = settings.use_old_state and settings.use_input_gate
    return settings.use_new_state or settings.use_residual or gated_state


def _learns_input_gate(settings: GatedSettings) -> bool:
    """Whether the input gate, if there is one, gets a gradient."""
    return settings.use_input_gate and (settings.use_new_state or settings.use_old_state)


def _both(one_condition: Who, other: Who) -> Who:
    return lambda one: one_condition(one) and other(one)


class LayerBackward:
    """From the gradient towards a layer's output, in the buffer `d`, to that towards its input, in `d_x`."""

    def __init__(self, layer: GatedLayer, gradients: Mapping[str, Rows], d: Rows, d_x: Rows, is_top: bool) -> None:
        """`d_x` is zero and stays so for models without such a gradient. Nothing comes to them but at the top."""
        self._layer = layer
        self._gradients = gradients
        self._d = d
        self._d_x = d_x
        self._is_live: Who = (lambda one: True) if is_top else passes_down
        scratch = layer.scratch
        self._d_pre, self._d_o, self._d_n, self._d_h = (scratch(f"backward {i}") for i in range(4))
        gated = [m for run in layer.runs(has_input_gate) for m in run]
        like = layer.input_gate.tensor
        self._d_c = Rows(torch.zeros_like(like), gated)
        self._d_input_gate = Rows(torch.zeros_like(like), gated)
        self.program = Program()
        self._build_output()
        self._build_state()
        self._build_input_gate()

    def _build_output(self) -> None:
        layer, add, d_pre, d_o = self._layer, self.program.add, self._d_pre, self._d_o
        live = self._is_live
        for run in layer.runs(live):  # towards the gate before the logistic function
            add(torch.mul, self._d[run], layer.o[run], out=d_pre[run])
            add(_sigmoid_backward, d_pre[run], layer.gate[run], grad_input=d_pre[run])
        for run in layer.runs(lambda one: live(one) and not one.use_output_gate):  # the gate's input is o itself
            add(torch.addcmul, d_pre[run], self._d[run], layer.gate[run], out=d_o[run])
        for run in layer.runs(_both(live, has_output_gate)):
            add(torch.mul, self._d[run], layer.gate[run], out=d_o[run])
            self._bias("output_gate", d_pre[run], run)
            self._source_weight("output_gate", "output", d_pre, run)
            self.program.accumulate(d_o[run], d_pre[run], self._transposed("output_gate.from_output", run))
        for run in layer.runs(live):
            self._bias("output", d_o[run], run)
        for run in layer.runs(lambda one: passes_down(one) and not one.use_residual):
            add(self._d_x[run].zero_)
        for source, d_source in zip(SOURCES, (self._d_n, self._d_h, self._d_x), strict=True):
            for run in layer.source_runs(source, live):
                self._source_weight("output", source, d_o, run)
            for run in layer.source_runs(source, _both(live, has_output_gate)):
                self._source_weight("output_gate", source, d_pre, run)
            # Without an input gate there is nothing to be learned of the old state.
            flows = _both(live, has_input_gate) if source == "old_state" else live
            for run in layer.source_runs(source, flows):
                self.program.product(d_source[run], d_o[run], self._transposed(f"output.from_{source}", run))
            for run in layer.source_runs(source, _both(flows, has_output_gate)):
                weight = self._transposed(f"output_gate.from_{source}", run)
                self.program.accumulate(d_source[run], d_pre[run], weight)

    def _build_state(self) -> None:
        layer, add, d_pre, d_n = self._layer, self.program.add, self._d_pre, self._d_n
        for run in layer.runs(_both(self._is_live, _learns_input_gate)):
            add(self._d_c[run].zero_)
        for run in layer.runs(lambda one: self._is_live(one) and one.use_input_gate and one.use_old_state):
            add(self._d_c[run][:, :, layer.state_size :].copy_, self._d_h[run])
        for run in layer.runs(lambda one: one.use_new_state and one.use_forget_gate):
            add(torch.mul, d_n[run], layer.before_forget(run), out=d_pre[run])
            self._gate_backward("forget_gate", layer.forget_input[run], layer.forget_gate[run], run)
        self._towards_c("forget_gate", has_forget_gate)
        for run in layer.runs(lambda one: one.use_new_state and one.use_state_gate):
            add(torch.mul, d_n[run], layer.change[run], out=d_pre[run])
            self._gate_backward("state_gate", layer.state_input[run], layer.state_gate[run], run)
        self._towards_c("state_gate", has_state_gate)
        for run in layer.runs(lambda one: one.use_new_state, layer.candidate_place):
            add(_tanh_backward, d_n[run], layer.candidate(run), grad_input=d_pre[run])
        for run in layer.runs(lambda one: one.use_new_state):
            self._weight("candidate.weight", layer.c[run], d_pre[run], run)
            self._bias("candidate", d_pre[run], run)
        self._towards_c("candidate", lambda one: True)

    def _gate_backward(self, name: str, c_n: Tensor, gate: Tensor, run: range) -> None:
        """`d_pre` holds the gradient towards the gate, and `d_n` that towards the product of gate and n."""
        d_pre, d_n = self._d_pre[run], self._d_n[run]
        self.program.add(_sigmoid_backward, d_pre, gate, grad_input=d_pre)
        self._weight(f"{name}.weight", c_n, d_pre, run)
        self._bias(name, d_pre, run)
        self.program.add(d_n.mul_, gate)
        of_n = self._layer.of(f"{name}.weight", run)[:, 2 * self._layer.state_size :]
        self.program.accumulate(d_n, d_pre, of_n.transpose(1, 2))

    def _towards_c(self, name: str, who: Who) -> None:
        """Add a map's part to the gradient towards c, or towards x where nothing else of c is needed."""
        S = self._layer.state_size
        for run in self._layer.runs(lambda one: one.use_new_state and who(one), has_input_gate):
            weight = self._layer.of(f"{name}.weight", run)
            if has_input_gate(self._layer.members[run[0]]):
                out, weight = self._d_c[run], weight[:, : 2 * S]
            else:
                out, weight = self._d_x[run], weight[:, :S]
            self.program.accumulate(out, self._d_pre[run], weight.transpose(1, 2))

    def _build_input_gate(self) -> None:
        layer, add, S = self._layer, self.program.add, self._layer.state_size
        for run in layer.runs(_learns_input_gate):
            d_c, d_pre, gate = self._d_c[run], self._d_input_gate[run], layer.input_gate[run]
            add(torch.mul, d_c, layer.ungated_c[run], out=d_pre)
            add(_sigmoid_backward, d_pre, gate, grad_input=d_pre)
            self._weight("input_gate.weight", layer.ungated_c[run], d_pre, run)
            self._bias("input_gate", d_pre, run)
            add(self._d_x[run].addcmul_, d_c[:, :, :S], gate[:, :, :S])
            weight = layer.of("input_gate.weight", run)[:, :S]
            self.program.accumulate(self._d_x[run], d_pre, weight.transpose(1, 2))

    def _gradient(self, part: str, run: range) -> Tensor:
        return self._gradients[f"{self._layer.at}.{part}"][run]

    def _transposed(self, part: str, run: range) -> Tensor:
        return self._layer.of(part, run).transpose(1, 2)

    def _weight(self, part: str, x: Tensor, d: Tensor, run: range) -> None:
        """Gradient of a weight matrix: x^T d."""
        self.program.product(self._gradient(part, run), x.transpose(1, 2), d)

    def _source_weight(self, part: str, source: str, d: Rows, run: range) -> None:
        self._weight(f"{part}.from_{source}", self._layer.source(source, run), d[run], run)

    def _bias(self, part: str, d: Tensor, run: range) -> None:
        self.program.add(torch.sum, d, dim=1, out=self._gradient(f"{part}.bias", run))
