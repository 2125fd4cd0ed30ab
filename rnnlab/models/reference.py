"""The gated language model in textbook form: one model, torch.nn.Linear, torch.sigmoid, concatenations, autograd.

Shapes: B batch rows, T steps of a window, S state size, V vocabulary. Tests and benchmarks compare the cohort with it,
and users get a trained gated model in this form (single_model.py). It shares only the names of settings with cohorts.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rnnlab.spec.cell_settings import GatedSettings


class GatedLayer(nn.Module):
    """One layer: (x [B, S], h [B, S]) -> (output [B, S], next state [B, S], not detached)."""

    def __init__(self, settings: GatedSettings) -> None:
        super().__init__()
        S = settings.state_size
        self.settings = settings
        n_sources = settings.use_new_state + settings.use_old_state + settings.use_residual
        if settings.use_input_gate:
            self.input_gate_x = nn.Linear(2 * S, S)
            self.input_gate_h = nn.Linear(2 * S, S)
        self.candidate = nn.Linear(2 * S, S)
        if settings.use_state_gate:
            self.state_gate = nn.Linear(3 * S, S)
        if settings.use_forget_gate:
            self.forget_gate = nn.Linear(3 * S, S)
        self.output = nn.Linear(n_sources * S, S)
        if settings.use_output_gate:
            self.output_gate = nn.Linear((1 + n_sources) * S, S)

    def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """See the equations in rnnlab/models/gated/gated_cohort.py."""
        use = self.settings
        c = torch.cat([x, h], dim=-1)
        gated_h = h
        if use.use_input_gate:
            gated_x = torch.sigmoid(self.input_gate_x(c)) * x
            gated_h = torch.sigmoid(self.input_gate_h(c)) * h
            c = torch.cat([gated_x, gated_h], dim=-1)
        n = torch.tanh(self.candidate(c))
        if use.use_state_gate:
            g = torch.sigmoid(self.state_gate(torch.cat([c, n], dim=-1)))
            n = g * n + (1 - g) * h
        if use.use_forget_gate:
            n = torch.sigmoid(self.forget_gate(torch.cat([c, n], dim=-1))) * n
        parts = [n] * use.use_new_state + [gated_h] * use.use_old_state + [x] * use.use_residual
        y = torch.cat(parts, dim=-1)
        o = self.output(y)
        if use.use_output_gate:
            return o * torch.sigmoid(self.output_gate(torch.cat([o, y], dim=-1))), n
        return o * torch.sigmoid(o), n


class GatedLanguageModel(nn.Module):
    """Embedding by a linear map of the one-hot symbol, L layers, linear head."""

    def __init__(self, settings: GatedSettings, vocabulary_size: int) -> None:
        super().__init__()
        self.settings = settings
        self.vocabulary_size = vocabulary_size
        self.embed = nn.Linear(vocabulary_size, settings.state_size)
        self.layers = nn.ModuleList(GatedLayer(settings) for _ in range(settings.n_layers))
        self.head = nn.Linear(settings.state_size, vocabulary_size)

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """Zero state of each layer, [B, S]."""
        return [self.head.weight.new_zeros(batch_size, self.settings.state_size) for _ in self.layers]

    def forward(self, ids_B: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One symbol: ids [B] -> logits [B, V] and the detached next state of each layer."""
        x = self.embed(nn.functional.one_hot(ids_B, self.vocabulary_size).to(self.head.weight.dtype))
        next_state = []
        for layer, h in zip(self.layers, state, strict=True):
            x, n = layer(x, h)
            next_state.append(n.detach())
        return self.head(x), next_state

    def window(self, ids_BT: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Symbols one after the other -> logits [B, T, V] and the state after them, detached at every symbol."""
        logits = []
        for ids_B in ids_BT.unbind(1):
            logits_BV, state = self(ids_B, state)
            logits.append(logits_BV)
        return torch.stack(logits, dim=1), state

    @torch.no_grad()
    def load_cohort_parameters(self, parameters: Mapping[str, Tensor]) -> None:
        """Copy one model's parameters, named as in `gated_cohort.parameter_shapes`, into this module."""
        for name, own in self.named_parameters():
            own.copy_(self._from_cohort(name, parameters))

    def _from_cohort(self, name: str, parameters: Mapping[str, Tensor]) -> Tensor:
        S = self.settings.state_size
        prefix, kind = name.rsplit(".", 1)
        if prefix.endswith(("input_gate_x", "input_gate_h")):
            whole = parameters[f"{prefix[:-2]}.{kind}"]
            half = whole[..., :S] if prefix.endswith("x") else whole[..., S:]
            return half.T if kind == "weight" else half
        if name in parameters:
            return parameters[name].T if kind == "weight" else parameters[name]
        order = ("output", "new_state", "old_state", "residual")
        blocks = [parameters[f"{prefix}.from_{source}"] for source in order if f"{prefix}.from_{source}" in parameters]
        return torch.cat(blocks, dim=0).T
