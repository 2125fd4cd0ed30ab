"""One training step of a gated cohort in the online regime: losses and gradients, without autograd.

Shapes: M models, B batch rows, S state size, V vocabulary, L layers, H models of a share of the head.

The state is detached at every symbol, so a step is a feed-forward network and its backward pass is short. Written out,
it keeps no graph, writes gradients where the optimiser wants them, and each operation's bits are known. tests/oracle
compares it with the textbook model under autograd for all 96 combinations.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.gated import GatedCohort
from rnnlab.models.gated_backward import LayerBackward
from rnnlab.models.runs import Program, Rows

# Logits of a share of the head: they are read and written five times, so they should stay in a cache.
_SHARE_ELEMENTS = 2**20


class OnlineStep:
    """The program of the steps of one cohort, and its buffers: a step allocates nothing.

    `hidden` is the state of each layer, L tensors [M, B, S], replaced in place by each step. `gradients[name]` has the
    shape of the model's parameter and holds the gradients after a step; the buffers are given, so that an optimiser
    can own them. They must keep what lies in them: what gets no gradient is written once, as zeros.
    """

    def __init__(self, model: GatedCohort, gradients: Mapping[str, Tensor], batch_size: int) -> None:
        forward = model.forward(batch_size)
        rows = {name: Rows(gradient, model.users[name].members) for name, gradient in gradients.items()}
        for gradient in gradients.values():
            gradient.zero_()
        like = forward.top_MBS
        self.hidden = [layer.n_MBS for layer in forward.layers]
        self._ids_MB = forward.ids_MB
        self._targets_MB1 = torch.zeros_like(self._ids_MB).unsqueeze(2)
        self._loss_M = like.new_zeros(model.n_models)
        self._keep_M11 = like.new_ones(model.n_models, 1, 1)

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
        forward.row_lookup.scatter(self._program, d.tensor, gradients["embed.weight"])
        self._program.add(torch.sum, d.tensor, dim=1, out=gradients["embed.bias"])
        model.smallest_product = min(model.smallest_product, self._program.smallest_product)

    @torch.no_grad()
    def __call__(self, ids_MB: Tensor, targets_MB: Tensor, keep_M: Tensor) -> Tensor:
        """Ids and targets [M, B] -> mean losses [M] (nats), in a buffer that the next step overwrites.

        `keep_M` is 1 for models that go on from their state, 0 for those that start from zero. The gradients of each
        model's own mean loss are left in the buffers.
        """
        self._ids_MB.copy_(ids_MB)
        self._targets_MB1.copy_(targets_MB.unsqueeze(2))
        self._keep_M11.copy_(keep_M.view(-1, 1, 1))
        self._program()
        return self._loss_M

    def _build_head(
        self, parameters: Mapping[str, Rows], gradients: Mapping[str, Rows], x: Rows, d_x: Rows
    ) -> None:
        """Mean cross-entropy of each model, and its gradient towards the head's input."""
        M, B, _ = x.tensor.shape
        V = parameters["head.bias"].tensor.shape[1]
        most = max(1, min(M, _SHARE_ELEMENTS // (B * V)))
        n_shares = -(-M // most)
        bounds = [M * share // n_shares for share in range(n_shares + 1)]
        logits_HBV = x.tensor.new_empty(-(-M // n_shares), B, V)
        loss_MB, by_target_MB, by_share_MB = (x.tensor.new_empty(M, B) for _ in range(3))
        minus_one = x.tensor.new_full((), -1.0).expand(M, B, 1)
        scale = 1.0 / B
        add = self._program.add
        for start, end in zip(bounds[:-1], bounds[1:], strict=True):
            run = range(start, end)
            loss, target, highest = (each[start:end] for each in (loss_MB, by_target_MB, by_share_MB))
            places, p = self._targets_MB1[start:end], logits_HBV[: len(run)]
            weight = parameters["head.weight"][run]
            self._program.product(p, x[run], weight, parameters["head.bias"][run].unsqueeze(1))
            # -log softmax(z)[t] = log(sum exp(z - max)) + max - z[t]. The sum is 1 / p[largest], which cannot overflow.
            add(torch.gather, p, 2, places, out=target.unsqueeze(2))
            add(torch.amax, p, dim=2, out=highest)
            add(torch.sub, highest, target, out=loss)
            add(torch.softmax, p, dim=2, out=p)
            add(torch.amax, p, dim=2, out=highest)
            add(highest.log_)
            add(loss.sub_, highest)
            # p - one_hot(target) is B times the gradient towards the logits.
            add(p.scatter_add_, 2, places, minus_one[start:end])
            self._program.product(gradients["head.weight"][run], x[run].transpose(1, 2), p, scale=scale)
            bias = gradients["head.bias"][run]
            add(torch.sum, p, dim=1, out=bias)
            add(bias.mul_, scale)
            self._program.product(d_x[run], p, weight.transpose(1, 2), scale=scale)
        add(torch.mean, loss_MB, dim=1, out=self._loss_M)
