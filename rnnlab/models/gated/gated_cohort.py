"""The gated language model of the dynamics experiment, for a whole cohort at once.

Shapes: M models, B batch rows, S state size, V vocabulary, L layers, U models of a subset.

One layer maps the input x and its state h, both [M, B, S], to its output o and the next state. With s() the logistic
function, [..] concatenation along the last axis, and a bias in every map (equations of the dynamics experiment):

    c = [x, h]
    input gate:   c = s(W_input c) * c                      (x and h gated; W_input is 2S x 2S)
    n = tanh(W_candidate c)
    state gate:   g = s(W_state [c, n]);  n = g * n + (1 - g) * h         (h ungated)
    forget gate:  n = s(W_forget [c, n]) * n
    y = [n if use_new_state, gated h if use_old_state, x if use_residual]     (x ungated)
    o = W_output y
    output gate:  o = o * s(W_output_gate [o, y]);   without it:  o = o * s(o)
    next state = n, detached: no gradient flows back in time

W_output and W_output_gate are stored as one block for each of their sources, because models with different sources
share a cohort: each block is computed for the models that have the source. W_embed maps the one-hot symbol to the input
of the first layer, W_head maps the output of the last layer to the logits.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.gated.layer_forward import SOURCES
from rnnlab.models.gated.model_forward import GatedForward
from rnnlab.models.initialization import Parameter
from rnnlab.models.model_subset import ModelSubset, SubsetTensor
from rnnlab.spec.cell_settings import GatedSettings


def _sources(settings: GatedSettings) -> list[str]:
    return [source for source in SOURCES if getattr(settings, f"use_{source}")]


def parameter_shapes(settings: GatedSettings, vocabulary_size: int) -> dict[str, Parameter]:
    """Name -> shape and fan-in of every parameter of one model; a weight is [inputs, outputs].

    The blocks of a map that was split by source keep the fan-in of the whole map.
    """
    S, V = settings.state_size, vocabulary_size
    shapes = {"embed.weight": Parameter((V, S), V), "embed.bias": Parameter((S,), V)}

    def add(name: str, inputs: int, outputs: int) -> None:
        shapes[f"{name}.weight"] = Parameter((inputs, outputs), inputs)
        shapes[f"{name}.bias"] = Parameter((outputs,), inputs)

    def add_split(name: str, sources: list[str]) -> None:
        fan_in = len(sources) * S
        for source in sources:
            shapes[f"{name}.from_{source}"] = Parameter((S, S), fan_in)
        shapes[f"{name}.bias"] = Parameter((S,), fan_in)

    for layer in range(settings.n_layers):
        prefix = f"layers.{layer}"
        if settings.use_input_gate:
            add(f"{prefix}.input_gate", 2 * S, 2 * S)
        add(f"{prefix}.candidate", 2 * S, S)
        if settings.use_state_gate:
            add(f"{prefix}.state_gate", 3 * S, S)
        if settings.use_forget_gate:
            add(f"{prefix}.forget_gate", 3 * S, S)
        add_split(f"{prefix}.output", _sources(settings))
        if settings.use_output_gate:
            add_split(f"{prefix}.output_gate", ["output", *_sources(settings)])
    add("head", S, V)
    return shapes


def gate_order(members: Sequence[GatedSettings]) -> list[int]:
    """The order of members in which the models of each gate and source form few and long ranges.

    A greedy order: each member is followed by the remaining one that differs from it in the fewest settings.
    """
    switches = [[getattr(one, name) for name in sorted(GatedSettings.free_in_cohort)] for one in members]

    def distance(m: int) -> tuple[int, list[bool], int]:
        changes = sum(mine != last for mine, last in zip(switches[m], switches[order[-1]], strict=True)) if order else 0
        return changes, switches[m], m

    remaining, order = set(range(len(members))), list[int]()
    while remaining:
        order.append(min(remaining, key=distance))
        remaining.remove(order[-1])
    return order


class GatedCohort:
    """M gated models of one size, with any combination of gates and sources, as one program.

    `parameters[name]` is [U, ...]: the parameter of each model that has it, in the order of `subsets[name].members`.
    """

    def __init__(
        self,
        members: Sequence[GatedSettings],
        parameters: Sequence[Mapping[str, Tensor]],
        vocabulary_size: int,
        device: torch.device,
    ) -> None:
        """Stack the members' parameters, as `parameter_shapes` names them. Members differ in gates and sources only."""
        assert members
        assert len({(member.n_layers, member.state_size) for member in members}) == 1
        self.n_models = len(members)
        self.n_layers = members[0].n_layers
        self.state_size = members[0].state_size
        self.vocabulary_size = vocabulary_size
        self.device = device
        self.parameters: dict[str, Tensor] = {}
        self.subsets: dict[str, ModelSubset] = {}
        # Parts of the same models share one ModelSubset, and thus one index tensor.
        shared: dict[tuple[int, ...], ModelSubset] = {}
        for name in dict.fromkeys(name for own in parameters for name in own):
            models = [m for m, own in enumerate(parameters) if name in own]
            self.subsets[name] = shared.setdefault(tuple(models), ModelSubset(models, self.n_models, device))
            self.parameters[name] = torch.stack([parameters[m][name] for m in models]).to(device)
        self._members = members
        # The models of the smallest product: more threads than models would change bits (numerics.py).
        self.smallest_product = self.forward(1).program.smallest_product
        self._forward: GatedForward | None = None  # for `step`, at the last batch size

    def parameters_of(self, m: int) -> dict[str, Tensor]:
        """The parameters of model m alone: views into the cohort, named as in `parameter_shapes`."""
        return {
            name: self.parameters[name].detach()[subsets.members.index(m)]
            for name, subsets in self.subsets.items()
            if m in subsets.members
        }

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """Zero state of each layer, L tensors [M, B, S]."""
        dtype = self.parameters["embed.weight"].dtype
        shape = (self.n_models, batch_size, self.state_size)
        return [torch.zeros(shape, dtype=dtype, device=self.device) for _ in range(self.n_layers)]

    def forward(self, batch_size: int) -> GatedForward:
        """A forward pass with its own buffers, bound to the current parameter tensors."""
        parameters = {
            name: SubsetTensor(parameter.detach(), self.subsets[name].members)
            for name, parameter in self.parameters.items()
        }
        return GatedForward(self._members, parameters, batch_size)

    @torch.no_grad()
    def step(self, ids_MB: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One symbol: ids [M, B] and the state of each layer -> logits [M, B, V] and the next state."""
        forward = self._forward
        if forward is None or forward.top_MBS.shape[1] != ids_MB.shape[1]:
            forward = self._forward = self.forward(ids_MB.shape[1])
        forward.row_lookup.rows_MN.copy_(forward.row_lookup.rows_of(ids_MB))
        for layer, h_MBS in zip(forward.layers, state, strict=True):
            layer.h_MBS.copy_(h_MBS)
        forward.program()
        bias, weight = self.parameters["head.bias"].unsqueeze(1), self.parameters["head.weight"]
        logits_MBV = torch.baddbmm(bias, forward.top_MBS, weight)
        return logits_MBV, [layer.n_MBS.clone() for layer in forward.layers]
