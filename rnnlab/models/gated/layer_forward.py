"""The forward pass of one layer of the gated cohort, as a program on fixed buffers.

layer_backward.py has its gradients.

Shapes: M models, B batch rows, S state size, U models of a subset. gated_cohort.py has the equations.

Every operation works on ranges of consecutive models that share a part, so no model pays for a gate or a source that it
lacks, and nothing is gathered or scattered. The input of a product may be a slice of columns; its result may not:
torch would then compute the models one by one. So the result of a product is contiguous, and a map of [c, n] has its
own input buffer, to whose last columns the operation before it writes n.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import torch
from torch import Tensor

from rnnlab.models.buffer_program import BufferProgram
from rnnlab.models.logistic import Logistic
from rnnlab.models.model_subset import SubsetTensor, contiguous_ranges
from rnnlab.spec.cell_settings import GatedSettings

SOURCES = ("new_state", "old_state", "residual")

Condition = Callable[[GatedSettings], bool]  # which models of a cohort an operation is for
has_input_gate, has_state_gate, has_forget_gate, has_output_gate = (
    attrgetter(f"use_{name}_gate") for name in ("input", "state", "forget", "output")
)


def _always(settings: GatedSettings) -> bool:
    return True


class ScratchBuffers:
    """Buffers [M, B, S] whose content is used within one layer only, so that all layers share them."""

    def __init__(self, like_MBS: Tensor) -> None:
        self.like = like_MBS
        self._buffers: dict[str, SubsetTensor] = {}

    def __call__(self, name: str) -> SubsetTensor:
        """The buffer of this name."""
        return self._buffers.setdefault(name, SubsetTensor(torch.zeros_like(self.like), range(len(self.like))))


class GatedLayer:
    """Buffers and forward program of one layer; `LayerBackward` adds the backward pass.

    `forward` reads the input from `x_MBS` and the old state from `h_MBS`; it writes the next state to `n_MBS` and the
    output to the given buffer.
    """

    def __init__(
        self,
        prefix: str,
        members: Sequence[GatedSettings],
        parameters: Mapping[str, SubsetTensor],
        scratch: ScratchBuffers,
        output_MBS: Tensor,
    ) -> None:
        """`prefix`: of the parameters' names. The output is written to `output_MBS`."""
        self.prefix = prefix
        self.members = members
        self.parameters = parameters
        self.scratch = scratch
        S = scratch.like.shape[2]
        self.state_size = S
        self.all_models = range(len(members))
        self.n, self.o, self.gate = (self._buffer(_always, S) for _ in range(3))
        self.c = self._buffer(_always, 2 * S)
        self.n_MBS, self.x_MBS, self.h_MBS = self.n.tensor, self.c.tensor[:, :, :S], self.c.tensor[:, :, S:]
        self.ungated_c, self.input_gate = (self._buffer(has_input_gate, 2 * S) for _ in range(2))
        self.state_input, self.forget_input = self._buffer(has_state_gate, 3 * S), self._buffer(has_forget_gate, 3 * S)
        self.state_gate, self.forget_gate = self._buffer(has_state_gate, S), self._buffer(has_forget_gate, S)
        self.change = self._buffer(has_state_gate, S)  # n - h, before the state gate
        self._logistic = Logistic(scratch.like)
        self.forward = BufferProgram()
        self._build_state()
        self._build_output()
        self.forward.add(torch.mul, self.o.tensor, self.gate.tensor, out=output_MBS)

    def ranges(self, condition: Condition, *by: Callable[[GatedSettings], object]) -> list[range]:
        """Ranges of the models that fulfill `condition`; on each of them every key of `by` is constant."""
        chosen = [m for m, one in enumerate(self.members) if condition(one)]
        return contiguous_ranges(chosen, lambda m: [key(self.members[m]) for key in by])

    def parameter(self, part: str, models: range) -> Tensor:
        """A parameter of this layer, [U, ...]."""
        return self.parameters[f"{self.prefix}.{part}"][models]

    def bias(self, part: str, models: range) -> Tensor:
        """A bias of this layer, [U, 1, O]."""
        return self.parameter(f"{part}.bias", models).unsqueeze(1)

    def source(self, name: str, models: range) -> Tensor:
        """A source of the output map, [U, B, S]. For `residual`, all or none of the models must have an input gate."""
        S = self.state_size
        if name == "output":
            return self.o[models]
        if name == "new_state":
            return self.n[models]
        if name == "old_state":
            return self.c[models][:, :, S:]
        return self.ungated(models)[:, :, :S]

    def source_ranges(self, name: str, condition: Condition) -> list[range]:
        """Ranges of the models that use a source of the output map."""
        if name == "output":
            return self.ranges(condition)
        if name == "residual":
            return self.ranges(lambda one: condition(one) and one.use_residual, has_input_gate)
        return self.ranges(lambda one: condition(one) and getattr(one, f"use_{name}"))

    def ungated(self, models: range) -> Tensor:
        """[x, h] before the input gate, [U, B, 2S]. All or none of the models must have that gate."""
        return (self.ungated_c if has_input_gate(self.members[models[0]]) else self.c)[models]

    def candidate(self, models: range) -> Tensor:
        """n before all gates, [U, B, S]. All models must have the same `candidate_buffer`."""
        if has_state_gate(self.members[models[0]]):
            return self.state_input[models][:, :, 2 * self.state_size :]
        return self.before_forget(models)

    def before_forget(self, models: range) -> Tensor:
        """n before the forget gate, [U, B, S]. All or none of the models must have that gate."""
        if has_forget_gate(self.members[models[0]]):
            return self.forget_input[models][:, :, 2 * self.state_size :]
        return self.n[models]

    @staticmethod
    def candidate_buffer(settings: GatedSettings) -> str:
        """The name of the buffer that holds the candidate."""
        if settings.use_state_gate:
            return "state_input"
        return "forget_input" if settings.use_forget_gate else "n"

    def _buffer(self, condition: Condition, width: int) -> SubsetTensor:
        models = [m for m, one in enumerate(self.members) if condition(one)]
        like = self.scratch.like
        return SubsetTensor(like.new_zeros(len(models), like.shape[1], width), models)

    def _build_state(self) -> None:
        add, S, sign = self.forward.add, self.state_size, self._logistic.sign
        for models in self.ranges(has_input_gate):
            ungated, gate = self.ungated_c[models], self.input_gate[models]
            add(ungated.copy_, self.c[models])
            self._gate("input_gate", ungated, gate, models)
            add(torch.mul, ungated, gate, out=self.c[models])

        # tanh(z) = 2 s(2z) - 1
        doubled = self.scratch("first")
        models = self.all_models
        weight, bias = self.parameter("candidate.weight", models), self.bias("candidate", models)
        self.forward.product(doubled.tensor, self.c[models], weight, bias, 2.0 * sign)
        self._logistic.add_to(self.forward, doubled.tensor)
        minus_one = doubled.tensor.new_full((), -1.0)
        for models in self.ranges(_always, self.candidate_buffer):
            add(torch.add, minus_one, doubled[models], alpha=2.0, out=self.candidate(models))

        for models in self.ranges(has_state_gate):
            self._gate_of_c_n("state_gate", self.state_input[models], self.state_gate[models], models)
        for models in self.ranges(has_state_gate, has_input_gate, has_forget_gate):
            h, change = self.ungated(models)[:, :, S:], self.change[models]
            add(torch.sub, self.candidate(models), h, out=change)
            add(torch.addcmul, h, self.state_gate[models], change, out=self.before_forget(models))

        for models in self.ranges(has_forget_gate):
            self._gate_of_c_n("forget_gate", self.forget_input[models], self.forget_gate[models], models)
            add(torch.mul, self.forget_gate[models], self.before_forget(models), out=self.n[models])

    def _gate_of_c_n(self, name: str, c_n: Tensor, gate: Tensor, models: range) -> None:
        """A gate of c and n; n is already in the last columns of `c_n`."""
        self.forward.add(c_n[:, :, : 2 * self.state_size].copy_, self.c[models])
        self._gate(name, c_n, gate, models)

    def _gate(self, name: str, x: Tensor, gate: Tensor, models: range) -> None:
        weight, bias = self.parameter(f"{name}.weight", models), self.bias(name, models)
        self.forward.product(gate, x, weight, bias, self._logistic.sign)
        self._logistic.add_to(self.forward, gate)

    def _build_output(self) -> None:
        add, accumulate, sign = self.forward.add, self.forward.accumulate, self._logistic.sign
        add(self.o.tensor.copy_, self.bias("output", self.all_models).expand_as(self.o.tensor))
        for source in SOURCES:
            for models in self.source_ranges(source, _always):
                accumulate(self.o[models], self.source(source, models), self.parameter(f"output.from_{source}", models))
        for models in self.ranges(lambda one: not one.use_output_gate):
            add(torch.mul, self.o[models], sign, out=self.gate[models])
        for models in self.ranges(has_output_gate):
            weight, bias = self.parameter("output_gate.from_output", models), self.bias("output_gate", models)
            self.forward.product(self.gate[models], self.o[models], weight, bias, sign)
        for source in SOURCES:
            for models in self.source_ranges(source, has_output_gate):
                weight = self.parameter(f"output_gate.from_{source}", models)
                accumulate(self.gate[models], self.source(source, models), weight, sign)
        self._logistic.add_to(self.forward, self.gate.tensor)
