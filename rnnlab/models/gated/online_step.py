"""One step of a gated cohort in the online regime: losses and their gradients, without autograd.

Shapes: M models, B batch rows, S state size, V vocabulary, L layers, K steps of a block.

The state is detached at every symbol, so a step is a feed-forward network and its backward pass is short. It is written
out: there is no graph, gradients are written to the optimizer's buffers, and the bits of each operation are known.
tests/oracle compares it with the textbook model under autograd for all 96 combinations of gates and sources.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnlab.models.buffer_program import BufferProgram
from rnnlab.models.gated.gated_cohort import GatedCohort
from rnnlab.models.gated.layer_backward import LayerBackward
from rnnlab.models.model_subset import SubsetTensor


class OnlineForward:
    """The forward pass of a step and the loss of each row: copy a step's `data` to `inputs`, then call `run`.

    `hidden` is the state of each layer, L tensors [M, B, S]; each step updates it in place. After a step `loss_MB` has
    the losses (nats) and `p_MBV` the probabilities of the symbols.
    """

    def __init__(self, model: GatedCohort, batch_size: int) -> None:
        self.forward = model.forward(batch_size)
        like, M, B = self.forward.top_MBS, model.n_models, batch_size
        self.hidden = [layer.n_MBS for layer in self.forward.layers]
        self.targets_MB1 = torch.zeros(M, B, 1, dtype=torch.int64, device=like.device)
        self.p_MBV, self.loss_MB = like.new_empty(M, B, model.vocabulary_size), like.new_empty(M, B)
        self._keep_M11 = like.new_ones(M, 1, 1)
        self.inputs = [self.forward.row_lookup.rows_MN, self.targets_MB1, self._keep_M11]
        self.program = BufferProgram()
        for layer in self.forward.layers:
            self.program.add(torch.mul, layer.n_MBS, self._keep_M11, out=layer.h_MBS)
        self.program.extend(self.forward.program)
        self._build_losses()

    def data(self, ids_KMB: Tensor, targets_KMB: Tensor, keep_KM: Tensor) -> list[Tensor]:
        """The contents of `inputs` in each of K steps. Ids and targets: int64.

        `keep_KM` is 1 for models that continue from their state, 0 for models whose state starts at zero.
        """
        keep_KM11 = keep_KM.to(self._keep_M11.dtype).view(*keep_KM.shape, 1, 1)
        return [self.forward.row_lookup.rows_of(ids_KMB), targets_KMB.unsqueeze(3), keep_KM11]

    @torch.no_grad()
    def run(self) -> None:
        """Compute the losses."""
        self.program()

    def _build_losses(self) -> None:
        add, p_MBV, loss_MB, parameters = self.program.add, self.p_MBV, self.loss_MB, self.forward.parameters
        largest_MB, target_MB1 = torch.empty_like(loss_MB), torch.empty_like(loss_MB).unsqueeze(2)
        bias, weight = parameters["head.bias"].tensor.unsqueeze(1), parameters["head.weight"].tensor
        self.program.product(p_MBV, self.forward.top_MBS, weight, bias)
        # -log softmax(z)[t] = log(sum exp(z - max)) + max - z[t]. The sum is 1 / p[largest], which cannot overflow.
        add(torch.gather, p_MBV, 2, self.targets_MB1, out=target_MB1)
        add(torch.amax, p_MBV, dim=2, out=loss_MB)
        add(torch.softmax, p_MBV, dim=2, out=p_MBV)
        add(torch.amax, p_MBV, dim=2, out=largest_MB)
        add(largest_MB.log_)
        add(loss_MB.sub_, target_MB1.squeeze(2))
        add(loss_MB.sub_, largest_MB)


class OnlineStep:
    """The training step of one cohort, with its buffers: copy a step's `data` to `inputs`, then call `run`.

    A step allocates nothing. `hidden`, `inputs` and `data` are those of OnlineForward. `gradients[name]` has the shape
    of the model's parameter and holds the gradients after a step; the caller gives the buffers, so that an optimizer
    can own them. Nothing else may write to them: entries without a gradient are set to zero once, here.
    """

    def __init__(self, model: GatedCohort, gradients: Mapping[str, Tensor], batch_size: int) -> None:
        losses = OnlineForward(model, batch_size)
        subset_gradients = {
            name: SubsetTensor(gradient, model.subsets[name].members) for name, gradient in gradients.items()
        }
        for gradient in gradients.values():
            gradient.zero_()
        like, layers = losses.forward.top_MBS, losses.forward.layers
        self.hidden, self.inputs, self.data = losses.hidden, losses.inputs, losses.data
        self.loss_M = like.new_zeros(model.n_models)
        self._program = BufferProgram()
        self._program.extend(losses.program)
        all_models = range(model.n_models)
        d = SubsetTensor(torch.zeros_like(like), all_models)
        self._build_head(losses, gradients, d.tensor)
        for layer in reversed(layers):
            d_x = SubsetTensor(torch.zeros_like(like), all_models)
            backward = LayerBackward(layer, subset_gradients, d, d_x, is_top=layer is layers[-1])
            self._program.extend(backward.program)
            d = d_x
        self._program.add(losses.forward.row_lookup.scatter, d.tensor, out=gradients["embed.weight"])
        self._program.add(torch.sum, d.tensor, dim=1, out=gradients["embed.bias"])
        model.smallest_product = min(model.smallest_product, self._program.smallest_product)

    @torch.no_grad()
    def run(self) -> None:
        """Write mean losses (nats) to `loss_M`, and the gradients of each model's own mean loss to their buffers."""
        self._program()

    def _build_head(self, losses: OnlineForward, gradients: Mapping[str, Tensor], d_x_MBS: Tensor) -> None:
        """The mean of the losses of each model, and its gradient with respect to the head's input."""
        x_MBS, p_MBV, weight_MSV = losses.forward.top_MBS, losses.p_MBV, losses.forward.parameters["head.weight"].tensor
        M, B, _ = x_MBS.shape
        scale, add, product = 1.0 / B, self._program.add, self._program.product
        add(torch.mean, losses.loss_MB, dim=1, out=self.loss_M)
        # p - one_hot(target) is B times the gradient with respect to the logits.
        add(p_MBV.scatter_add_, 2, losses.targets_MB1, x_MBS.new_full((), -1.0).expand(M, B, 1))
        product(gradients["head.weight"], x_MBS.transpose(1, 2), p_MBV, scale=scale)
        add(torch.sum, p_MBV, dim=1, out=gradients["head.bias"])
        add(gradients["head.bias"].mul_, scale)
        product(d_x_MBS, p_MBV, weight_MSV.transpose(1, 2), scale=scale)
