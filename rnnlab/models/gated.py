"""The gated language model of the dynamics experiment, for a whole cohort at once.

Shapes: M models, B batch rows, S state size, V vocabulary, L layers, U users of a part (some of the M).

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
share a cohort: each block runs for the models that have the source. Around the layers stand W_embed, applied to the
one-hot symbol, and W_head, which gives the logits.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.initialise import Parameter
from rnnlab.models.numerics import Users, gather_rows, logistic
from rnnlab.spec.cells import GatedSettings

_SOURCES = ("new_state", "old_state", "residual")


def _sources(settings: GatedSettings) -> list[str]:
    return [source for source in _SOURCES if getattr(settings, f"use_{source}")]


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
        at = f"layers.{layer}"
        if settings.use_input_gate:
            add(f"{at}.input_gate", 2 * S, 2 * S)
        add(f"{at}.candidate", 2 * S, S)
        if settings.use_state_gate:
            add(f"{at}.state_gate", 3 * S, S)
        if settings.use_forget_gate:
            add(f"{at}.forget_gate", 3 * S, S)
        add_split(f"{at}.output", _sources(settings))
        if settings.use_output_gate:
            add_split(f"{at}.output_gate", ["output", *_sources(settings)])
    add("head", S, V)
    return shapes


class GatedCohort:
    """M gated models of one size, with any mixture of gates and sources, as one program.

    `parameters[name]` is [U, ...]: the parameter of each model that has it, in the order of `users[name].members`.
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
        self.users: dict[str, Users] = {}
        # Parts with the same users share one Users object, hence one index tensor.
        shared: dict[tuple[int, ...], Users] = {}
        for name in dict.fromkeys(name for own in parameters for name in own):
            who = [m for m, own in enumerate(parameters) if name in own]
            self.users[name] = shared.setdefault(tuple(who), Users(who, self.n_models, device))
            stacked = torch.stack([parameters[m][name] for m in who]).to(device)
            self.parameters[name] = stacked.requires_grad_()
        # The smallest batch that any product runs over: more threads than that would change bits (numerics.py).
        self.smallest_product = min(len(users) for users in self.users.values())

    def parameters_of(self, m: int) -> dict[str, Tensor]:
        """The parameters of model m alone: views into the cohort, named as in `parameter_shapes`."""
        return {
            name: self.parameters[name].detach()[users.members.index(m)]
            for name, users in self.users.items()
            if m in users.members
        }

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """Zero state of each layer, L tensors [M, B, S]."""
        dtype = self.parameters["embed.weight"].dtype
        shape = (self.n_models, batch_size, self.state_size)
        return [torch.zeros(shape, dtype=dtype, device=self.device) for _ in range(self.n_layers)]

    def step(self, ids_MB: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One symbol: ids [M, B] and the state of each layer -> logits [M, B, V] and the detached next state."""
        x_MBS = gather_rows(self.parameters["embed.weight"], ids_MB) + self.parameters["embed.bias"].unsqueeze(1)
        following = []
        for layer in range(self.n_layers):
            x_MBS, n_MBS = self._layer(f"layers.{layer}", x_MBS, state[layer])
            following.append(n_MBS.detach())
        return self._linear("head", x_MBS), following

    def _layer(self, at: str, x_MBS: Tensor, h_MBS: Tensor) -> tuple[Tensor, Tensor]:
        c = torch.cat([x_MBS, h_MBS], dim=2)
        if users := self.users.get(f"{at}.input_gate.weight"):
            c_U = users.take(c)
            c = users.put(c, logistic(self._linear(f"{at}.input_gate", c_U)) * c_U)
        n = torch.tanh(self._linear(f"{at}.candidate", c))
        if users := self.users.get(f"{at}.state_gate.weight"):
            n_U = users.take(n)
            g = logistic(self._linear(f"{at}.state_gate", torch.cat([users.take(c), n_U], dim=2)))
            n = users.put(n, g * n_U + (1 - g) * users.take(h_MBS))
        if users := self.users.get(f"{at}.forget_gate.weight"):
            n_U = users.take(n)
            f = logistic(self._linear(f"{at}.forget_gate", torch.cat([users.take(c), n_U], dim=2)))
            n = users.put(n, f * n_U)

        sources = {"new_state": n, "old_state": c[:, :, self.state_size :], "residual": x_MBS}
        o = self._split_linear(f"{at}.output", sources, like=n)
        gate = logistic(o)
        if users := self.users.get(f"{at}.output_gate.bias"):
            gated = self._split_linear(f"{at}.output_gate", {"output": o, **sources}, like=n)
            gate = users.put(gate, logistic(users.take(gated)))
        return o * gate, n

    def _linear(self, name: str, x_UBK: Tensor) -> Tensor:
        """W x + b for the models that have this map, whose inputs these are, [U, B, N]."""
        return torch.baddbmm(self.parameters[f"{name}.bias"].unsqueeze(1), x_UBK, self.parameters[f"{name}.weight"])

    def _split_linear(self, name: str, sources: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Sum over the sources of W_source source, plus b, [M, B, S]; zero for models without this map."""
        bias = f"{name}.bias"
        total = self.users[bias].add(
            torch.zeros_like(like), self.parameters[bias].unsqueeze(1).expand(-1, like.shape[1], -1)
        )
        for source, x_MBS in sources.items():
            if users := self.users.get(f"{name}.from_{source}"):
                total = users.add(total, torch.bmm(users.take(x_MBS), self.parameters[f"{name}.from_{source}"]))
        return total
