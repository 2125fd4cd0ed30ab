"""The models as a researcher would write them: torch modules, each for one model.

Shapes: B batch rows, T symbols of a window, I inputs, D embedding size, S state size, V vocabulary.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rnnlab.models.reference import GatedLanguageModel
from rnnlab.spec.cell_settings import (
    GatedSettings,
    LinearSettings,
    ModelSettings,
    RecurrentSettings,
    UpdateGateSettings,
)


class RnnCell(nn.Module):
    """h' = tanh(W [x, h] + b)."""

    def __init__(self, n_inputs: int, state_size: int) -> None:
        super().__init__()
        self.map = nn.Linear(n_inputs + state_size, state_size)

    def forward(self, x_BI: Tensor, h_BS: Tensor) -> Tensor:
        """One step."""
        return torch.tanh(self.map(torch.cat([x_BI, h_BS], dim=1)))

    def load(self, parameters: Mapping[str, Tensor]) -> None:
        """Copy rnnlab's parameters of one layer."""
        _load(self.map, parameters["input.weight"], parameters["recurrent.weight"], parameters["input.bias"])


class GruCell(nn.Module):
    """r = s(W [x, h] + b);  z = s(W [x, h] + b);  c = tanh(W [x, r h] + b);  h' = a mixture of h and c by z."""

    def __init__(self, n_inputs: int, state_size: int, *, replaces: bool) -> None:
        super().__init__()
        self.replaces = replaces  # z is the share of the candidate, otherwise of the old state
        self.reset = nn.Linear(n_inputs + state_size, state_size)
        self.update = nn.Linear(n_inputs + state_size, state_size)
        self.candidate = nn.Linear(n_inputs + state_size, state_size)

    def forward(self, x_BI: Tensor, h_BS: Tensor) -> Tensor:
        """One step."""
        both = torch.cat([x_BI, h_BS], dim=1)
        r = torch.sigmoid(self.reset(both))
        z = torch.sigmoid(self.update(both))
        c = torch.tanh(self.candidate(torch.cat([x_BI, r * h_BS], dim=1)))
        return (1 - z) * h_BS + z * c if self.replaces else z * h_BS + (1 - z) * c

    def load(self, parameters: Mapping[str, Tensor]) -> None:
        """Copy rnnlab's parameters of one layer."""
        inputs, biases = (parameters[f"input.{kind}"].chunk(3, dim=-1) for kind in ("weight", "bias"))
        states = [*parameters["recurrent.weight"].chunk(2, dim=1), parameters["candidate.weight"]]
        for linear, *parts in zip((self.reset, self.update, self.candidate), inputs, states, biases, strict=True):
            _load(linear, *parts)


def _load(linear: nn.Linear, from_input: Tensor, from_state: Tensor, bias: Tensor) -> None:
    with torch.no_grad():
        linear.weight.copy_(torch.cat([from_input, from_state]).T)
        linear.bias.copy_(bias)


class RecurrentLanguageModel(nn.Module):
    """Embedding, layers of cells, linear head; each window is read from the start state."""

    def __init__(self, settings: RecurrentSettings, vocabulary_size: int) -> None:
        super().__init__()
        D, S, V = settings.embedding_size, settings.state_size, vocabulary_size
        assert D and settings.skip == "none"
        self.embedding = nn.Embedding(V, D)
        self.cells = nn.ModuleList(_cell(settings, S if layer else D) for layer in range(settings.n_layers))
        start_LS = torch.zeros(settings.n_layers, S)
        if settings.start_state == "learned":
            self.start_LS = nn.Parameter(start_LS)
        else:
            self.register_buffer("start_LS", start_LS)
        self.head = nn.Linear(S, V)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """A window of symbols -> logits [B, T, V]."""
        steps = list(self.embedding(ids_BT).unbind(1))
        for layer, cell in enumerate(self.cells):
            h_BS = self.start_LS[layer].expand(len(ids_BT), -1)
            for t, x in enumerate(steps):
                steps[t] = h_BS = cell(x, h_BS)
        logits: Tensor = self.head(torch.stack(steps, dim=1))
        return logits

    @torch.no_grad()
    def load(self, parameters: Mapping[str, Tensor]) -> None:
        """Copy rnnlab's parameters of one model."""
        self.embedding.weight.copy_(parameters["embedding.weight"])
        for layer, cell in enumerate(self.cells):
            at = f"layers.{layer}."
            assert isinstance(cell, RnnCell | GruCell)
            cell.load({name.removeprefix(at): value for name, value in parameters.items() if name.startswith(at)})
            if f"{at}start" in parameters:
                self.start_LS[layer] = parameters[f"{at}start"][0]
        self.head.weight.copy_(parameters["head.weight"].T)
        self.head.bias.copy_(parameters["head.bias"])


def _cell(settings: RecurrentSettings, n_inputs: int) -> nn.Module:
    if isinstance(settings, LinearSettings) and settings.cell == "rnn" and settings.linear == "joint":
        return RnnCell(n_inputs, settings.state_size)
    assert isinstance(settings, UpdateGateSettings)
    assert settings.cell == "gru-reset-before", f"no plain module for {settings.cell}"
    return GruCell(n_inputs, settings.state_size, replaces=settings.update_gate == "replaces")


class GatedModel(GatedLanguageModel):
    """The textbook model with a gather instead of its product with one-hot vectors, which `vmap` does not support."""

    def forward(self, ids_B: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One symbol: ids [B] -> logits [B, V] and the detached next state of each layer."""
        x = nn.functional.embedding(ids_B, self.embed.weight.T) + self.embed.bias
        following = []
        for layer, h in zip(self.layers, state, strict=True):
            x, n = layer(x, h)
            following.append(n.detach())
        return self.head(x), following


def plain_model(settings: ModelSettings, parameters: Mapping[str, Tensor], vocabulary_size: int) -> nn.Module:
    """One model with these parameters, named as in rnnlab's states."""
    if isinstance(settings, GatedSettings):
        gated = GatedModel(settings, vocabulary_size)
        gated.load_cohort_parameters(parameters)
        return gated
    recurrent = RecurrentLanguageModel(settings, vocabulary_size)
    recurrent.load(parameters)
    return recurrent
