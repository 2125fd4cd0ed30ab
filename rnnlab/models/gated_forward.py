"""The forward pass of the gated cohort at one batch size: embedding and layers, on fixed buffers.

Shapes: M models, B batch rows, S state size, V vocabulary, L layers. Equations and names: gated.py.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.gated_layer import GatedLayer, Scratch
from rnnlab.models.numerics import sum_rows
from rnnlab.models.runs import Program, Rows
from rnnlab.spec.cells import GatedSettings


class GatedForward:
    """`program` reads `rows_MB` and each layer's old state `h_MBS`, and leaves the head's input in `top_MBS`."""

    def __init__(self, members: Sequence[GatedSettings], parameters: Mapping[str, Rows], batch_size: int) -> None:
        like = parameters["embed.weight"].tensor
        M, V, S = like.shape
        self.members = members
        self.parameters = parameters
        self.vocabulary_size = V
        self.scratch = Scratch(like.new_zeros(M, batch_size, S))
        self.top_MBS = torch.zeros_like(self.scratch.like)
        self.ids_MB = torch.zeros(M, batch_size, dtype=torch.int64, device=like.device)
        self.row_lookup = RowLookup(like, self.ids_MB)
        self.program = Program()
        self.layers: list[GatedLayer] = []
        output = self.top_MBS
        for index in reversed(range(members[0].n_layers)):
            layer = GatedLayer(f"layers.{index}", members, parameters, self.scratch, output)
            self.layers.insert(0, layer)
            output = layer.x_MBS
        embedded = self.scratch("first").tensor
        self.row_lookup.gather(self.program, embedded)
        bias = parameters["embed.bias"].tensor.unsqueeze(1)
        self.program.add(torch.add, embedded, bias, out=output)
        for layer in self.layers:
            self.program.extend(layer.forward)


class RowLookup:
    """Rows ids[m, b] of each model's table [M, V, S], and the gradient of that."""

    def __init__(self, table_MVS: Tensor, ids_MB: Tensor) -> None:
        """Both are read when the program runs."""
        self._table_MVS = table_MVS
        self._ids_MB = ids_MB
        first_M = torch.arange(len(ids_MB), device=ids_MB.device) * table_MVS.shape[1]
        self._first_M1 = first_M.unsqueeze(1)
        self._rows_MB = torch.zeros_like(ids_MB)

    def gather(self, program: Program, out_MBS: Tensor) -> None:
        """Write the rows to `out_MBS`, contiguous."""
        program.add(torch.add, self._ids_MB, self._first_M1, out=self._rows_MB)
        for table_NS, rows, out in self._pieces(self._table_MVS, out_MBS):
            program.add(torch.index_select, table_NS, 0, rows, out=out)

    def scatter(self, program: Program, d_MBS: Tensor, gradient_MVS: Tensor) -> None:
        """Gradient of the table, after `gather`."""
        if gradient_MVS.is_cuda:
            program.add(sum_rows, self._ids_MB, d_MBS, out=gradient_MVS)
            return
        program.add(gradient_MVS.zero_)
        for gradient_NS, rows, d in self._pieces(gradient_MVS, d_MBS):
            program.add(gradient_NS.index_add_, 0, rows, d)

    def _pieces(self, table_MVS: Tensor, x_MBS: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """All models at once, or one by one where their tables do not follow one another in memory."""
        if table_MVS.is_contiguous():
            return [(table_MVS.flatten(0, 1), self._rows_MB.flatten(), x_MBS.flatten(0, 1))]
        return list(zip(table_MVS, self._ids_MB, x_MBS, strict=True))
