"""A stack of recurrent layers as a language model, for a whole cohort at once.

Shapes: M models, B batch rows, T steps of a window, S state size, V vocabulary, D embedding size, L layers, P numbers
that a step needs of its input, O outputs of a map.

    x = embedding of the symbol, or the one-hot symbol itself
    layer 1:            y = cell(x)
    each layer after:   y = cell(y),  or with skip = add: y + cell(y),  with skip = concat: [cell(y), y]
    logits = W_head y + b_head

The cells are in rnnlab/models/cells.py. The start state is zero, or a parameter that begins at zero.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models import initialization
from rnnlab.models.cells import Cell, Weights
from rnnlab.models.initialization import Parameter
from rnnlab.models.model_subset import ModelSubset
from rnnlab.models.numerics import affine, gather_rows
from rnnlab.models.own_cells import cell_class
from rnnlab.spec.cell_settings import RecurrentSettings


def layer_inputs(settings: RecurrentSettings, vocabulary_size: int) -> list[int]:
    """The width of each layer's input, and of the head's input: L + 1 numbers."""
    S = settings.state_size
    first = settings.embedding_size or vocabulary_size
    growing = settings.skip == "concat"
    return [first, *(S * (layer if growing else 1) for layer in range(1, settings.n_layers + 1))]


def parameter_shapes(settings: RecurrentSettings, vocabulary_size: int) -> dict[str, Parameter]:
    """Name -> shape and initial values of every parameter of one model; a weight is [inputs, outputs]."""
    cell = cell_class(settings.cell)(settings)
    D, V = settings.embedding_size, vocabulary_size
    shapes = {"embedding.weight": Parameter((V, D), V, initialization.standard_normal)} if D else {}
    *widths, last = layer_inputs(settings, V)
    for layer, width in enumerate(widths):
        for name, parameter in cell.parameters(width).items():
            shapes[f"layers.{layer}.{name}"] = parameter
        if settings.start_state == "learned":
            start = Parameter((cell.n_states, settings.state_size), 1, initialization.zeros)
            shapes[f"layers.{layer}.start"] = start
    return shapes | {"head.weight": cell.weight(last, V, last), "head.bias": cell.bias(V, last)}


class RecurrentStack:
    """M models of equal structure with stacked parameters: `parameters[name]` is [M, ...]."""

    def __init__(self, settings: RecurrentSettings, parameters: Mapping[str, Tensor], vocabulary_size: int) -> None:
        self.settings = settings
        self.parameters = dict(parameters)
        self.vocabulary_size = vocabulary_size
        self.n_models = len(self.parameters["head.weight"])
        self.cell: Cell = cell_class(settings.cell)(settings)
        self.layers: list[Weights] = [
            {
                name.removeprefix(f"layers.{layer}."): parameter
                for name, parameter in self.parameters.items()
                if name.startswith(f"layers.{layer}.")
            }
            for layer in range(settings.n_layers)
        ]

    def initial_state(self, batch_size: int) -> list[Tensor]:
        """The start state: for each layer each tensor of its state, [M, B, S]."""
        shape = (self.n_models, batch_size, self.settings.state_size)
        like = self.parameters["head.weight"]
        if self.settings.start_state == "zero":
            return [like.new_zeros(shape) for _ in range(self.settings.n_layers * self.cell.n_states)]
        return [row.unsqueeze(1).expand(shape).contiguous() for w in self.layers for row in w["start"].unbind(dim=1)]

    def step(self, ids_MB: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One symbol: ids [M, B] and the state -> logits [M, B, V] and the next state."""
        logits_MTBV, next_state = self.window(ids_MB.unsqueeze(1), state)
        return logits_MTBV.squeeze(1), next_state

    def window(
        self, ids_MTB: Tensor, state: Sequence[Tensor], *, last_only: bool = False
    ) -> tuple[Tensor, list[Tensor]]:
        """A window of symbols and the state before it -> logits [M, T, B, V] and the state after it.

        `last_only`: logits of the last step only, [M, 1, B, V].
        """
        n_steps = ids_MTB.shape[1]
        y = ids_MTB.flatten(1, 2)
        if self.settings.embedding_size:
            y = gather_rows(self.parameters["embedding.weight"], y)
        next_state: list[Tensor] = []
        n = self.cell.n_states
        for layer, w in enumerate(self.layers):
            p_MTBP = _by_step(self.cell.project(w, y), n_steps)
            now = tuple(state[layer * n : (layer + 1) * n])
            outputs = []
            for p_MBP in p_MTBP.unbind(1):
                now = self.cell.step(w, p_MBP, now)
                outputs.append(now[0])
            next_state += now
            new = torch.stack(outputs, dim=1).flatten(1, 2)
            y = new if layer == 0 else self._with_skip(new, y)
        if last_only:
            n_steps, y = 1, _by_step(y, n_steps)[:, -1]
        return _by_step(affine(y, self.parameters["head.weight"], self.parameters["head.bias"]), n_steps), next_state

    def _with_skip(self, new: Tensor, old: Tensor) -> Tensor:
        if self.settings.skip == "add":
            return new + old
        return torch.cat([new, old], dim=2) if self.settings.skip == "concat" else new


class RecurrentCohort(RecurrentStack):
    """M models of equal structure as one program, with its own parameters."""

    def __init__(
        self,
        members: Sequence[RecurrentSettings],
        parameters: Sequence[Mapping[str, Tensor]],
        vocabulary_size: int,
        device: torch.device,
    ) -> None:
        """Stack the members' parameters, as `parameter_shapes` names them. Members differ in initial values only."""
        assert members
        stacked = {
            name: torch.stack([own[name] for own in parameters]).to(device).requires_grad_() for name in parameters[0]
        }
        super().__init__(members[0], stacked, vocabulary_size)
        assert all(one.model_dump(exclude=set(one.free_in_cohort)) == self._structure for one in members)
        self.device = device
        all_models = ModelSubset(list(range(self.n_models)), self.n_models, device)
        self.subsets = dict.fromkeys(self.parameters, all_models)
        self.smallest_product = self.n_models  # more threads than models would change bits (numerics.py)

    @property
    def _structure(self) -> dict[str, object]:
        return self.settings.model_dump(exclude=set(self.settings.free_in_cohort))


def _by_step(x_MNO: Tensor, n_steps: int) -> Tensor:
    """[M, N, O] -> [M, T, B, O]."""
    return x_MNO.view(len(x_MNO), n_steps, -1, x_MNO.shape[2])
