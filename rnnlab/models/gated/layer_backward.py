"""The backward pass of one layer of the gated cohort, as a program on fixed buffers, without autograd.

Shapes: M models, B batch rows, S state size, U models of a subset. gated_cohort.py has the equations.

The state is detached at every symbol, so no gradient flows to the old state: of the gradient with respect to c = [x, h]
only the x half is computed, except for models with an input gate, where c depends on the gate's weights.

Parameters that get no gradient are left out, and their gradients stay zero: candidate, state gate and forget gate of
models whose output does not depend on the new state, and the lower layers of models whose output does not depend on the
input.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnlab.models.buffer_program import BufferProgram
from rnnlab.models.gated.layer_forward import (
    SOURCES,
    Condition,
    GatedLayer,
    has_forget_gate,
    has_input_gate,
    has_output_gate,
    has_state_gate,
)
from rnnlab.models.model_subset import SubsetTensor
from rnnlab.spec.cell_settings import GatedSettings

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input  # d y (1 - y)
_tanh_backward = torch.ops.aten.tanh_backward.grad_input  # d (1 - y y)


def passes_gradient_down(settings: GatedSettings) -> bool:
    """Whether a layer's input gets a gradient."""
    gated_state = settings.use_old_state and settings.use_input_gate
    return settings.use_new_state or settings.use_residual or gated_state


def _learns_input_gate(settings: GatedSettings) -> bool:
    """Whether the input gate, if there is one, gets a gradient."""
    return settings.use_input_gate and (settings.use_new_state or settings.use_old_state)


def _both(first: Condition, second: Condition) -> Condition:
    return lambda one: first(one) and second(one)


class LayerBackward:
    """From the gradient with respect to a layer's output, in the buffer `d`, to that of its input, in `d_x`."""

    def __init__(
        self, layer: GatedLayer, gradients: Mapping[str, SubsetTensor], d: SubsetTensor, d_x: SubsetTensor, is_top: bool
    ) -> None:
        """`d_x` is zero, and stays zero for models whose input gets no gradient.

        Below the top layer only models whose layer passes a gradient down get one.
        """
        self._layer = layer
        self._gradients = gradients
        self._d = d
        self._d_x = d_x
        self._is_live: Condition = (lambda one: True) if is_top else passes_gradient_down
        scratch = layer.scratch
        self._d_pre, self._d_o, self._d_n, self._d_h = (scratch(f"backward {i}") for i in range(4))
        gated = [m for models in layer.ranges(has_input_gate) for m in models]
        like = layer.input_gate.tensor
        self._d_c = SubsetTensor(torch.zeros_like(like), gated)
        self._d_input_gate = SubsetTensor(torch.zeros_like(like), gated)
        self.program = BufferProgram()
        self._build_output()
        self._build_state()
        self._build_input_gate()

    def _build_output(self) -> None:
        layer, add, d_pre, d_o = self._layer, self.program.add, self._d_pre, self._d_o
        live = self._is_live
        for models in layer.ranges(live):  # with respect to the gate before the logistic function
            add(torch.mul, self._d[models], layer.o[models], out=d_pre[models])
            add(_sigmoid_backward, d_pre[models], layer.gate[models], grad_input=d_pre[models])
        for models in layer.ranges(lambda one: live(one) and not one.use_output_gate):  # the gate's input is o itself
            add(torch.addcmul, d_pre[models], self._d[models], layer.gate[models], out=d_o[models])
        for models in layer.ranges(_both(live, has_output_gate)):
            add(torch.mul, self._d[models], layer.gate[models], out=d_o[models])
            self._bias("output_gate", d_pre[models], models)
            self._source_weight("output_gate", "output", d_pre, models)
            self.program.accumulate(d_o[models], d_pre[models], self._transposed("output_gate.from_output", models))
        for models in layer.ranges(live):
            self._bias("output", d_o[models], models)
        for models in layer.ranges(lambda one: passes_gradient_down(one) and not one.use_residual):
            add(self._d_x[models].zero_)
        for source, d_source in zip(SOURCES, (self._d_n, self._d_h, self._d_x), strict=True):
            for models in layer.source_ranges(source, live):
                self._source_weight("output", source, d_o, models)
            for models in layer.source_ranges(source, _both(live, has_output_gate)):
                self._source_weight("output_gate", source, d_pre, models)
            # Without an input gate no parameter depends on the gradient of the old state.
            flows = _both(live, has_input_gate) if source == "old_state" else live
            for models in layer.source_ranges(source, flows):
                self.program.product(d_source[models], d_o[models], self._transposed(f"output.from_{source}", models))
            for models in layer.source_ranges(source, _both(flows, has_output_gate)):
                weight = self._transposed(f"output_gate.from_{source}", models)
                self.program.accumulate(d_source[models], d_pre[models], weight)

    def _build_state(self) -> None:
        layer, add, d_pre, d_n = self._layer, self.program.add, self._d_pre, self._d_n
        for models in layer.ranges(_both(self._is_live, _learns_input_gate)):
            add(self._d_c[models].zero_)
        for models in layer.ranges(lambda one: self._is_live(one) and one.use_input_gate and one.use_old_state):
            add(self._d_c[models][:, :, layer.state_size :].copy_, self._d_h[models])
        for models in layer.ranges(lambda one: one.use_new_state and one.use_forget_gate):
            add(torch.mul, d_n[models], layer.before_forget(models), out=d_pre[models])
            self._gate_backward("forget_gate", layer.forget_input[models], layer.forget_gate[models], models)
        self._accumulate_c("forget_gate", has_forget_gate)
        for models in layer.ranges(lambda one: one.use_new_state and one.use_state_gate):
            add(torch.mul, d_n[models], layer.change[models], out=d_pre[models])
            self._gate_backward("state_gate", layer.state_input[models], layer.state_gate[models], models)
        self._accumulate_c("state_gate", has_state_gate)
        for models in layer.ranges(lambda one: one.use_new_state, layer.candidate_buffer):
            add(_tanh_backward, d_n[models], layer.candidate(models), grad_input=d_pre[models])
        for models in layer.ranges(lambda one: one.use_new_state):
            self._weight("candidate.weight", layer.c[models], d_pre[models], models)
            self._bias("candidate", d_pre[models], models)
        self._accumulate_c("candidate", lambda one: True)

    def _gate_backward(self, name: str, c_n: Tensor, gate: Tensor, models: range) -> None:
        """`d_pre` holds the gradient with respect to the gate, `d_n` that with respect to the product of gate and n."""
        d_pre, d_n = self._d_pre[models], self._d_n[models]
        self.program.add(_sigmoid_backward, d_pre, gate, grad_input=d_pre)
        self._weight(f"{name}.weight", c_n, d_pre, models)
        self._bias(name, d_pre, models)
        self.program.add(d_n.mul_, gate)
        weight_of_n = self._layer.parameter(f"{name}.weight", models)[:, 2 * self._layer.state_size :]
        self.program.accumulate(d_n, d_pre, weight_of_n.transpose(1, 2))

    def _accumulate_c(self, name: str, condition: Condition) -> None:
        """Add a map's part to the gradient with respect to c, or to x if nothing else of c needs one."""
        S = self._layer.state_size
        for models in self._layer.ranges(lambda one: one.use_new_state and condition(one), has_input_gate):
            weight = self._layer.parameter(f"{name}.weight", models)
            if has_input_gate(self._layer.members[models[0]]):
                out, weight = self._d_c[models], weight[:, : 2 * S]
            else:
                out, weight = self._d_x[models], weight[:, :S]
            self.program.accumulate(out, self._d_pre[models], weight.transpose(1, 2))

    def _build_input_gate(self) -> None:
        layer, add, S = self._layer, self.program.add, self._layer.state_size
        for models in layer.ranges(_learns_input_gate):
            d_c, d_pre, gate = self._d_c[models], self._d_input_gate[models], layer.input_gate[models]
            add(torch.mul, d_c, layer.ungated_c[models], out=d_pre)
            add(_sigmoid_backward, d_pre, gate, grad_input=d_pre)
            self._weight("input_gate.weight", layer.ungated_c[models], d_pre, models)
            self._bias("input_gate", d_pre, models)
            add(self._d_x[models].addcmul_, d_c[:, :, :S], gate[:, :, :S])
            weight = layer.parameter("input_gate.weight", models)[:, :S]
            self.program.accumulate(self._d_x[models], d_pre, weight.transpose(1, 2))

    def _gradient(self, part: str, models: range) -> Tensor:
        return self._gradients[f"{self._layer.prefix}.{part}"][models]

    def _transposed(self, part: str, models: range) -> Tensor:
        return self._layer.parameter(part, models).transpose(1, 2)

    def _weight(self, part: str, x: Tensor, d: Tensor, models: range) -> None:
        """Gradient of a weight matrix: x^T d."""
        self.program.product(self._gradient(part, models), x.transpose(1, 2), d)

    def _source_weight(self, part: str, source: str, d: SubsetTensor, models: range) -> None:
        self._weight(f"{part}.from_{source}", self._layer.source(source, models), d[models], models)

    def _bias(self, part: str, d: Tensor, models: range) -> None:
        self.program.add(torch.sum, d, dim=1, out=self._gradient(f"{part}.bias", models))
