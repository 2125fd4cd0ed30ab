"""One step of a recurrent cohort under BPTT: losses of a window and their gradients, without autograd.

Shapes: K steps of a block, M models, T steps of a window, W = T + 1 symbols of a window with its last target, B batch
rows, N = T B symbols read at once, S state size, V vocabulary, P numbers that a step needs of its input.

The products with the inputs of a layer are one product over the whole window. In the first layer the product is
computed for each symbol of the vocabulary instead of each symbol of the window, if the vocabulary is smaller: the rows
W embedding(v) + b are a table, the window gathers from it, and the table's gradient is a sum of rows.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnlab.models.recurrent.cell_scans import SCANS
from rnnlab.models.recurrent.recurrent_cohort import RecurrentCohort, layer_inputs
from rnnlab.models.recurrent.scan import Scan
from rnnlab.models.row_lookup import RowLookup


class WindowStep:
    """Buffers and arithmetic of the steps of one cohort: copy a step's `data` to `inputs`, then call `run`.

    After a run `gradients[name]` holds the gradients, `loss_M` the losses (nats) and `next_state` the state after the
    window, [M, B, S] each; the next run overwrites them. `gradients` may be empty if only `forward` is called.
    """

    def __init__(
        self,
        model: RecurrentCohort,
        gradients: Mapping[str, Tensor],
        *,
        n_steps: int,
        batch_size: int,
        last_only: bool,
        carries: bool,
    ) -> None:
        """`n_steps`: symbols of a window that are read, T.

        last_only: the loss is that of the last prediction alone. carries: a window continues from the state after the
        previous one, `next_state`, unless `data` marks it as the beginning of a sequence.
        """
        settings, M = model.settings, model.n_models
        self._settings = settings
        self._w = {name: parameter.detach() for name, parameter in model.parameters.items()}
        self._gradients = gradients
        self._scans: list[Scan] = [
            SCANS[settings.cell](model.cell, model.layers[layer], _of_layer(gradients, layer), n_steps, batch_size)
            for layer in range(settings.n_layers)
        ]
        self._T, self._B, self._V = n_steps, batch_size, model.vocabulary_size
        self._last_only, self._carries = last_only, carries
        like = self._w["head.weight"]
        n_predicted = batch_size if last_only else n_steps * batch_size
        self._has_table = not settings.embedding_size or n_steps * batch_size >= self._V
        widths = layer_inputs(settings, self._V)
        if self._has_table:
            widths[0] = 0  # the table replaces the input
        # Inputs of each layer and of the head. Without a skip connection a layer's outputs are the next one's inputs.
        self._inputs = [
            like.new_zeros(M, n_steps * batch_size, width)
            if layer == 0 or self._skip(layer - 1) != "none"
            else self._scans[layer - 1].h[:, 1:].flatten(1, 2)
            for layer, width in enumerate(widths)
        ]
        self._logits = like.new_zeros(M, n_predicted, self._V)
        P = self._scans[0].p.shape[-1]
        self._table = like.new_zeros(M, self._V, P)
        if gradients:
            self._d_inputs = [like.new_zeros(M, n_steps * batch_size, width) for width in widths]
            self._d_predicted = like.new_zeros(M, n_predicted, widths[-1]) if last_only else self._d_inputs[-1]
            self._d_h = like.new_zeros(M, n_steps * batch_size, settings.state_size)
            self._d_table = torch.zeros_like(self._table)
        self._row_lookup = RowLookup(M, self._V, n_steps * batch_size, like.device)
        self._minus_one = like.new_full((), -1.0)
        self._targets_MN1 = torch.zeros(M, n_predicted, 1, dtype=torch.int64, device=like.device)
        self._weights_MN1 = like.new_zeros(M, n_predicted, 1)
        self._begins_M11, self._keep_M11 = like.new_ones(M, 1, 1), like.new_zeros(M, 1, 1)  # 1 or 0
        self.inputs = [self._row_lookup.rows_MN, self._targets_MN1, self._weights_MN1]
        if carries:
            self.inputs += [self._begins_M11, self._keep_M11]
        self.loss_M = like.new_zeros(M)
        self.next_state = [tensor for scan in self._scans for tensor in scan.end_state()]

    def data(self, symbols_KMWB: Tensor, weights_KMB: Tensor, begins_KM: Tensor) -> list[Tensor]:
        """The contents of `inputs` in each of K steps. symbols_KMWB: any integer type.

        weights_KMB: the weights of the window's rows in the loss. begins_KM: whether the window begins at the model's
        start state.
        """
        symbols_KMWB = symbols_KMWB.long()
        targets_KMTB = symbols_KMWB[:, :, -1:] if self._last_only else symbols_KMWB[:, :, 1:]
        weights_KM1B = (weights_KMB / targets_KMTB.shape[2]).to(self._weights_MN1.dtype).unsqueeze(2)
        data = [
            self._row_lookup.rows_of(symbols_KMWB[:, :, :-1].flatten(2)),
            targets_KMTB.flatten(2).unsqueeze(3),
            weights_KM1B.expand(targets_KMTB.shape).flatten(2).unsqueeze(3),
        ]
        if self._carries:
            begins_KM11 = begins_KM.to(self._begins_M11.dtype).view(*begins_KM.shape, 1, 1)
            data += [begins_KM11, 1 - begins_KM11]
        return data

    @torch.no_grad()
    def run(self) -> None:
        """Compute the losses, and the gradients of each model's own loss."""
        self.forward()
        d_y = self._head_backward()
        for layer in reversed(range(len(self._scans))):
            d_y = self._layer_backward(layer, d_y)

    @torch.no_grad()
    def forward(self) -> None:
        """Compute the losses alone."""
        self._begin()
        self._first_input()
        for layer, scan in enumerate(self._scans):
            if layer:
                self._project(layer)
            scan.forward()
            self._output(layer)
        self.loss_M.copy_(self._head())

    def _skip(self, layer: int) -> str:
        """The skip connection around a layer; the first layer has none."""
        return self._settings.skip if layer else "none"

    def _begin(self) -> None:
        """Set the state before the window: the state after the previous one, or the zero or learned start state."""
        learned = self._settings.start_state == "learned"
        for layer, scan in enumerate(self._scans):
            for number, (place, end) in enumerate(zip(scan.start_state(), scan.end_state(), strict=True)):
                if learned:
                    start = self._w[f"layers.{layer}.start"][:, number].unsqueeze(1).expand(place.shape)
                    if self._carries:
                        torch.mul(start, self._begins_M11, out=place).addcmul_(end, self._keep_M11)
                    else:
                        place.copy_(start)
                elif self._carries:
                    torch.mul(end, self._keep_M11, out=place)

    def _first_input(self) -> None:
        scan, w = self._scans[0], self._w
        weight, bias_M1P = w["layers.0.input.weight"], scan.input_bias().unsqueeze(1)
        if not self._has_table:
            x = self._inputs[0]
            self._row_lookup.gather(w["embedding.weight"], out=x)
            self._project(0)
            return
        if self._settings.embedding_size:
            torch.baddbmm(bias_M1P, w["embedding.weight"], weight, out=self._table)
        else:
            torch.add(weight, bias_M1P, out=self._table)
        self._row_lookup.gather(self._table, out=scan.p.flatten(1, 2))

    def _project(self, layer: int) -> None:
        scan = self._scans[layer]
        weight = self._w[f"layers.{layer}.input.weight"]
        torch.baddbmm(scan.input_bias().unsqueeze(1), self._inputs[layer], weight, out=scan.p.flatten(1, 2))

    def _output(self, layer: int) -> None:
        """The input of the next layer: this layer's outputs, with the skip connection."""
        new, old, y = self._scans[layer].h[:, 1:].flatten(1, 2), self._inputs[layer], self._inputs[layer + 1]
        if self._skip(layer) == "add":
            torch.add(new, old, out=y)
        elif self._skip(layer) == "concat":
            torch.cat([new, old], dim=2, out=y)

    def _head(self) -> Tensor:
        """Weighted mean cross-entropy of each model, [M]. The logits are replaced by their gradient."""
        logits, places = self._logits, self._targets_MN1
        torch.baddbmm(self._w["head.bias"].unsqueeze(1), self._predicted(), self._w["head.weight"], out=logits)
        # -log softmax(z)[t] = log(sum exp(z - max)) + max - z[t]. The sum is 1 / p[largest], which cannot overflow.
        target_MN1, highest_MN1 = logits.gather(2, places), logits.amax(dim=2, keepdim=True)
        torch.softmax(logits, dim=2, out=logits)
        log_largest_MN1 = logits.amax(dim=2, keepdim=True).log_()
        losses_MN1 = highest_MN1.sub_(target_MN1).sub_(log_largest_MN1)
        logits.scatter_add_(2, places, self._minus_one.expand(places.shape))
        logits.mul_(self._weights_MN1)
        return losses_MN1.mul_(self._weights_MN1).flatten(1).sum(dim=1)

    def _predicted(self) -> Tensor:
        """The head's input at the steps that have a loss."""
        y = self._inputs[-1]
        return y[:, -self._B :] if self._last_only else y

    def _head_backward(self) -> Tensor:
        """The gradient with respect to the last layer's output with its skip connection, [M, N, ...]."""
        d = self._logits
        torch.bmm(self._predicted().transpose(1, 2), d, out=self._gradients["head.weight"])
        torch.sum(d, dim=1, out=self._gradients["head.bias"])
        torch.bmm(d, self._w["head.weight"].transpose(1, 2), out=self._d_predicted)
        d_y = self._d_inputs[-1]
        if self._last_only:
            d_y.zero_()[:, -self._B :] = self._d_predicted
        return d_y

    def _layer_backward(self, layer: int, d_y: Tensor) -> Tensor:
        """From the gradient with respect to the next layer's input to the one with respect to this layer's input."""
        scan, skip, S = self._scans[layer], self._skip(layer), self._settings.state_size
        d_h = d_y if d_y.shape[2] == S and skip == "none" else self._d_h.copy_(d_y[..., :S])  # the scan overwrites it
        scan.backward(d_h.view(-1, self._T, self._B, S))
        d_p = scan.p.flatten(1, 2)
        if self._settings.start_state == "learned":
            d_start = torch.stack([d.sum(dim=1) for d in scan.d_start()], dim=1)
            torch.mul(d_start, self._begins_M11, out=self._gradients[f"layers.{layer}.start"])
        if layer == 0:
            self._first_backward(d_p)
            return d_y
        d_x = self._input_backward(layer, d_p)
        if skip == "add":
            d_x.add_(d_y)
        elif skip == "concat":
            d_x.add_(d_y[..., S:])
        return d_x

    def _input_backward(self, layer: int, d_p: Tensor) -> Tensor:
        """The gradients of the input's weight and bias; returns the gradient with respect to the input."""
        name = f"layers.{layer}.input.weight"
        torch.bmm(self._inputs[layer].transpose(1, 2), d_p, out=self._gradients[name])
        self._scans[layer].input_bias_backward(d_p.sum(dim=1))
        return torch.bmm(d_p, self._w[name].transpose(1, 2), out=self._d_inputs[layer])

    def _first_backward(self, d_p: Tensor) -> None:
        if not self._has_table:
            self._row_lookup.scatter(self._input_backward(0, d_p), out=self._gradients["embedding.weight"])
            return
        d_table, weight = self._d_table, self._w["layers.0.input.weight"]
        self._row_lookup.scatter(d_p, out=d_table)
        self._scans[0].input_bias_backward(d_table.sum(dim=1))
        if not self._settings.embedding_size:
            self._gradients["layers.0.input.weight"].copy_(d_table)
            return
        embedding = self._w["embedding.weight"]
        torch.bmm(embedding.transpose(1, 2), d_table, out=self._gradients["layers.0.input.weight"])
        torch.bmm(d_table, weight.transpose(1, 2), out=self._gradients["embedding.weight"])


def _of_layer(tensors: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
    """The tensors of one layer, by their names within the layer."""
    prefix = f"layers.{layer}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
