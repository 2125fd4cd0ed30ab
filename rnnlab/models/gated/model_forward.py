"""The forward pass of the gated cohort at one batch size: embedding and layers, on fixed buffers.

Shapes: M models, B batch rows, S state size, V vocabulary, L layers. gated_cohort.py has the equations.
"""

from collections.abc import Mapping, Sequence

import torch

from rnnlab.models.buffer_program import BufferProgram
from rnnlab.models.gated.layer_forward import GatedLayer, ScratchBuffers
from rnnlab.models.model_subset import SubsetTensor
from rnnlab.models.row_lookup import RowLookup
from rnnlab.spec.cell_settings import GatedSettings


class GatedForward:
    """A forward pass of the embedding and the layers.

    `program` reads the rows of `row_lookup` and each layer's old state `h_MBS`. It writes the head's input to
    `top_MBS`.
    """

    def __init__(
        self, members: Sequence[GatedSettings], parameters: Mapping[str, SubsetTensor], batch_size: int
    ) -> None:
        like = parameters["embed.weight"].tensor
        M, V, S = like.shape
        self.members = members
        self.parameters = parameters
        self.vocabulary_size = V
        self.scratch = ScratchBuffers(like.new_zeros(M, batch_size, S))
        self.top_MBS = torch.zeros_like(self.scratch.like)
        self.row_lookup = RowLookup(M, V, batch_size, like.device)
        self.program = BufferProgram()
        self.layers: list[GatedLayer] = []
        output = self.top_MBS
        for index in reversed(range(members[0].n_layers)):
            layer = GatedLayer(f"layers.{index}", members, parameters, self.scratch, output)
            self.layers.insert(0, layer)
            output = layer.x_MBS
        embedded = self.scratch("first").tensor
        self.program.add(self.row_lookup.gather, like, out=embedded)
        bias = parameters["embed.bias"].tensor.unsqueeze(1)
        self.program.add(torch.add, embedded, bias, out=output)
        for layer in self.layers:
            self.program.extend(layer.forward)
