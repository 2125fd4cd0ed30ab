"""The forward pass of one layer of the gated cohort, as a program on fixed buffers. gated_backward.py: the way back.

Shapes: M models, B batch rows, S state size, U users of a part (some of the M). Equations and names: gated.py.

Every operation runs over runs of neighbours that share a part, so no model pays for a gate or a source that it lacks,
and nothing is gathered or scattered. The input of a product may be a slice of columns; its result may not: torch
would then do the models one by one. So what is written by a product is contiguous, and a map of [c, n] has a buffer of
its own, whose last part the operation before writes in place.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter

import torch
from torch import Tensor

from rnnlab.models.buffer_program import Program, Rows, runs
from rnnlab.models.logistic import Logistic
from rnnlab.spec.cell_settings import GatedSettings

SOURCES = ("new_state", "old_state", "residual")

Who = Callable[[GatedSettings], bool]
has_input_gate, has_state_gate, has_forget_gate, has_output_gate = (
    attrgetter(f"use_{name}_gate") for name in ("input", "state", "forget", "output")
)


def _anybody(settings: GatedSettings) -> bool:
    return True


class Scratch:
    """Buffers [M, B, S] that live within one layer's work, hence are shared by all layers."""

    def __init__(self, like_MBS: Tensor) -> None:
        self.like = like_MBS
        self._found: dict[str, Rows] = {}

    def __call__(self, name: str) -> Rows:
        """The buffer of that name."""
        return self._found.setdefault(name, Rows(torch.zeros_like(self.like), range(len(self.like))))


class GatedLayer:
    """Buffers and forward program of one layer; `LayerBackward` adds the way back.

    Before `forward` the input lies in `x_MBS` and the old state in `h_MBS`; after it the next state is in `n_MBS` and
    the output in the buffer that was given.
    """

    def __init__(
        self,
        at: str,
        members: Sequence[GatedSettings],
        parameters: Mapping[str, Rows],
        scratch: Scratch,
        output_MBS: Tensor,
    ) -> None:
        """`at` is the prefix of the parameters' names; the output is written to `output_MBS`."""
        self.at = at
        self.members = members
        self.parameters = parameters
        self.scratch = scratch
        S = scratch.like.shape[2]
        self.state_size = S
        self.everybody = range(len(members))
        self.n, self.o, self.gate = (self._rows(_anybody, S) for _ in range(3))
        self.c = self._rows(_anybody, 2 * S)
        self.n_MBS, self.x_MBS, self.h_MBS = self.n.tensor, self.c.tensor[:, :, :S], self.c.tensor[:, :, S:]
        self.ungated_c, self.input_gate = (self._rows(has_input_gate, 2 * S) for _ in range(2))
        self.state_input, self.forget_input = self._rows(has_state_gate, 3 * S), self._rows(has_forget_gate, 3 * S)
        self.state_gate, self.forget_gate = self._rows(has_state_gate, S), self._rows(has_forget_gate, S)
        self.change = self._rows(has_state_gate, S)  # n - h, before the state gate
        self._logistic = Logistic(scratch.like)
        self.forward = Program()
        self._build_state()
        self._build_output()
        self.forward.add(torch.mul, self.o.tensor, self.gate.tensor, out=output_MBS)

    def runs(self, who: Who, *by: Callable[[GatedSettings], object]) -> list[range]:
        """Runs of the models of which `who` is true, over which each of `by` is constant."""
        chosen = [m for m, one in enumerate(self.members) if who(one)]
        return runs(chosen, lambda m: [key(self.members[m]) for key in by])

    def of(self, part: str, run: range) -> Tensor:
        """A parameter of this layer, [len(run), ...]."""
        return self.parameters[f"{self.at}.{part}"][run]

    def bias(self, part: str, run: range) -> Tensor:
        """A bias of this layer, [len(run), 1, N]."""
        return self.of(f"{part}.bias", run).unsqueeze(1)

    def source(self, name: str, run: range) -> Tensor:
        """What the output map sees, [len(run), B, S]; of `residual` all or none of a run must have an input gate."""
        S = self.state_size
        if name == "output":
            return self.o[run]
        if name == "new_state":
            return self.n[run]
        if name == "old_state":
            return self.c[run][:, :, S:]
        return self.ungated(run)[:, :, :S]

    def source_runs(self, name: str, who: Who) -> list[range]:
        """Runs of those who use a source of the output map."""
        if name == "output":
            return self.runs(who)
        if name == "residual":
            return self.runs(lambda one: who(one) and one.use_residual, has_input_gate)
        return self.runs(lambda one: who(one) and getattr(one, f"use_{name}"))

    def ungated(self, run: range) -> Tensor:
        """[x, h] before the input gate, [len(run), B, 2S]; all or none of a run must have that gate."""
        return (self.ungated_c if has_input_gate(self.members[run[0]]) else self.c)[run]

    def candidate(self, run: range) -> Tensor:
        """n before all gates, [len(run), B, S]; a run of one `candidate_place`."""
        if has_state_gate(self.members[run[0]]):
            return self.state_input[run][:, :, 2 * self.state_size :]
        return self.before_forget(run)

    def before_forget(self, run: range) -> Tensor:
        """n before the forget gate, [len(run), B, S]; all or none of a run must have that gate."""
        if has_forget_gate(self.members[run[0]]):
            return self.forget_input[run][:, :, 2 * self.state_size :]
        return self.n[run]

    @staticmethod
    def candidate_place(settings: GatedSettings) -> str:
        """Which buffer holds the candidate."""
        if settings.use_state_gate:
            return "state_input"
        return "forget_input" if settings.use_forget_gate else "n"

    def _rows(self, who: Who, width: int) -> Rows:
        models = [m for m, one in enumerate(self.members) if who(one)]
        like = self.scratch.like
        return Rows(like.new_zeros(len(models), like.shape[1], width), models)

    def _build_state(self) -> None:
        add, S, sign = self.forward.add, self.state_size, self._logistic.sign
        for run in self.runs(has_input_gate):
            ungated, gate = self.ungated_c[run], self.input_gate[run]
            add(ungated.copy_, self.c[run])
            self._gate("input_gate", ungated, gate, run)
            add(torch.mul, ungated, gate, out=self.c[run])

        # tanh(z) = 2 s(2z) - 1
        doubled = self.scratch("first")
        run = self.everybody
        weight, bias = self.of("candidate.weight", run), self.bias("candidate", run)
        self.forward.product(doubled.tensor, self.c[run], weight, bias, 2.0 * sign)
        self._logistic.add_to(self.forward, doubled.tensor)
        minus_one = doubled.tensor.new_full((), -1.0)
        for run in self.runs(_anybody, self.candidate_place):
            add(torch.add, minus_one, doubled[run], alpha=2.0, out=self.candidate(run))

        for run in self.runs(has_state_gate):
            self._gate_of_c_n("state_gate", self.state_input[run], self.state_gate[run], run)
        for run in self.runs(has_state_gate, has_input_gate, has_forget_gate):
            h, change = self.ungated(run)[:, :, S:], self.change[run]
            add(torch.sub, self.candidate(run), h, out=change)
            add(torch.addcmul, h, self.state_gate[run], change, out=self.before_forget(run))

        for run in self.runs(has_forget_gate):
            self._gate_of_c_n("forget_gate", self.forget_input[run], self.forget_gate[run], run)
            add(torch.mul, self.forget_gate[run], self.before_forget(run), out=self.n[run])

    def _gate_of_c_n(self, name: str, c_n: Tensor, gate: Tensor, run: range) -> None:
        """A gate that sees c and n; n lies in its place already."""
        self.forward.add(c_n[:, :, : 2 * self.state_size].copy_, self.c[run])
        self._gate(name, c_n, gate, run)

    def _gate(self, name: str, x: Tensor, gate: Tensor, run: range) -> None:
        weight, bias = self.of(f"{name}.weight", run), self.bias(name, run)
        self.forward.product(gate, x, weight, bias, self._logistic.sign)
        self._logistic.add_to(self.forward, gate)

    def _build_output(self) -> None:
        add, accumulate, sign = self.forward.add, self.forward.accumulate, self._logistic.sign
        add(self.o.tensor.copy_, self.bias("output", self.everybody).expand_as(self.o.tensor))
        for source in SOURCES:
            for run in self.source_runs(source, _anybody):
                accumulate(self.o[run], self.source(source, run), self.of(f"output.from_{source}", run))
        for run in self.runs(lambda one: not one.use_output_gate):
            add(torch.mul, self.o[run], sign, out=self.gate[run])
        for run in self.runs(has_output_gate):
            weight, bias = self.of("output_gate.from_output", run), self.bias("output_gate", run)
            self.forward.product(self.gate[run], self.o[run], weight, bias, sign)
        for source in SOURCES:
            for run in self.source_runs(source, has_output_gate):
                weight = self.of(f"output_gate.from_{source}", run)
                accumulate(self.gate[run], self.source(source, run), weight, sign)
        self._logistic.add_to(self.forward, self.gate.tensor)
