"""One training step of a gated cohort in the online regime: losses and gradients, without autograd.

Shapes: M models, B batch rows, S state size, V vocabulary, L layers, K steps.

The state is detached at every symbol, so a step is a feed-forward network and its backward pass is short. Written out,
it keeps no graph, writes gradients where the optimiser wants them, and each operation's bits are known. tests/oracle
compares it with the textbook model under autograd for all 96 combinations.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnlab.models.gated import GatedCohort
from rnnlab.models.gated_backward import LayerBackward
from rnnlab.models.runs import Program, Rows


class OnlineStep:
    """The program of the steps of one cohort, and buffers: lay a step's `data` into `inputs`, then `run` it.

    That allocates nothing. `hidden` is the state of each layer, L tensors [M, B, S], replaced in place by each step.
    `gradients[name]` has the shape of the model's parameter and holds the gradients after a step; the buffers are
    given, so that an optimiser can own them. They must keep what lies in them: what gets no gradient is written once,
    as zeros.
    """

    def __init__(self, model: GatedCohort, gradients: Mapping[str, Tensor], batch_size: int) -> None:
        forward = model.forward(batch_size)
        rows = {name: Rows(gradient, model.users[name].members) for name, gradient in gradients.items()}
        for gradient in gradients.values():
            gradient.zero_()
        like = forward.top_MBS
        self.hidden = [layer.n_MBS for layer in forward.layers]
        self._row_lookup = forward.row_lookup
        self._targets_MB1 = torch.zeros(*like.shape[:2], 1, dtype=torch.int64, device=like.device)
        self.loss_M = like.new_zeros(model.n_models)
        self._keep_M11 = like.new_ones(model.n_models, 1, 1)
        self.inputs = [self._row_lookup.rows_MN, self._targets_MB1, self._keep_M11]

        self._program = Program()
        for layer in forward.layers:
            self._program.add(torch.mul, layer.n_MBS, self._keep_M11, out=layer.h_MBS)
        self._program.extend(forward.program)
        everybody = range(model.n_models)
        d = Rows(torch.zeros_like(like), everybody)
        self._build_head(forward.parameters, rows, Rows(forward.top_MBS, everybody), d)
        for layer in reversed(forward.layers):
            d_x = Rows(torch.zeros_like(like), everybody)
            backward = LayerBackward(layer, rows, d, d_x, is_top=layer is forward.layers[-1])
            self._program.extend(backward.program)
            d = d_x
        self._program.add(self._row_lookup.scatter, d.tensor, out=gradients["embed.weight"])
        self._program.add(torch.sum, d.tensor, dim=1, out=gradients["embed.bias"])
        model.smallest_product = min(model.smallest_product, self._program.smallest_product)

    def data(self, ids_KMB: Tensor, targets_KMB: Tensor, keep_KM: Tensor) -> list[Tensor]:
        """What `inputs` are to hold in each of K steps. Ids and targets: int64.

        `keep_KM` is 1 for models that go on from their state, 0 where it begins at zero.
        """
        keep_KM11 = keep_KM.to(self._keep_M11.dtype).view(*keep_KM.shape, 1, 1)
        return [self._row_lookup.rows_of(ids_KMB), targets_KMB.unsqueeze(3), keep_KM11]

    @torch.no_grad()
    def run(self) -> None:
        """Leave mean losses (nats) in `loss_M`, and the gradients of each model's own mean loss in their buffers."""
        self._program()

    def _build_head(self, parameters: Mapping[str, Rows], gradients: Mapping[str, Rows], x: Rows, d_x: Rows) -> None:
        """Mean cross-entropy of each model, and its gradient towards the head's input."""
        everybody = range(len(x.tensor))
        x_MBS, d_x_MBS, weight_MSV = x[everybody], d_x[everybody], parameters["head.weight"][everybody]
        M, B, _ = x_MBS.shape
        scale, add, product = 1.0 / B, self._program.add, self._program.product
        p_MBV = x_MBS.new_empty(M, B, weight_MSV.shape[2])
        loss_MB, largest_MB, target_MB1 = x_MBS.new_empty(M, B), x_MBS.new_empty(M, B), x_MBS.new_empty(M, B, 1)
        product(p_MBV, x_MBS, weight_MSV, parameters["head.bias"][everybody].unsqueeze(1))
        # -log softmax(z)[t] = log(sum exp(z - max)) + max - z[t]. The sum is 1 / p[largest], which cannot overflow.
        add(torch.gather, p_MBV, 2, self._targets_MB1, out=target_MB1)
        add(torch.amax, p_MBV, dim=2, out=loss_MB)
        add(torch.softmax, p_MBV, dim=2, out=p_MBV)
        add(torch.amax, p_MBV, dim=2, out=largest_MB)
        add(largest_MB.log_)
        add(loss_MB.sub_, target_MB1.squeeze(2))
        add(loss_MB.sub_, largest_MB)
        add(torch.mean, loss_MB, dim=1, out=self.loss_M)
        # p - one_hot(target) is B times the gradient towards the logits.
        add(p_MBV.scatter_add_, 2, self._targets_MB1, x_MBS.new_full((), -1.0).expand(M, B, 1))
        product(gradients["head.weight"][everybody], x_MBS.transpose(1, 2), p_MBV, scale=scale)
        add(torch.sum, p_MBV, dim=1, out=gradients["head.bias"][everybody])
        add(gradients["head.bias"][everybody].mul_, scale)
        product(d_x_MBS, p_MBV, weight_MSV.transpose(1, 2), scale=scale)
