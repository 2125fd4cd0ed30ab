"""One training step of a gated cohort in the online regime: losses and gradients, without autograd.

Shapes: M models, B batch rows, S state size, V vocabulary, U users of a part (some of the M).

The state is detached at every symbol, so a step is a feed-forward network and its backward pass is short. Written out,
it keeps no graph, writes gradients where the optimiser wants them, and each operation's bits are known. tests/oracle
compares it with the textbook model under autograd for all 96 combinations.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from rnnlab.models.gated import GatedCohort
from rnnlab.models.numerics import Users


def logistic_(x: Tensor) -> Tensor:
    """The logistic function in place, with the bits of `numerics.logistic`."""
    return torch.tanh(x.mul_(0.5), out=x).mul_(0.5).add_(0.5)


class OnlineStep:
    """Workspace and arithmetic of the steps of one cohort.

    `gradients[name]` has the shape of the model's parameter and holds the gradients after a call; the buffers are
    given, so that an optimiser can own them.
    """

    def __init__(self, model: GatedCohort, gradients: Mapping[str, Tensor], batch_size: int) -> None:
        self._model = model
        self._parameters = {name: parameter.detach() for name, parameter in model.parameters.items()}
        self._gradients = gradients
        like = self._parameters["embed.weight"]
        self._one_hot_MVB = like.new_zeros(model.n_models, model.vocabulary_size, batch_size)
        self._scale = 1.0 / batch_size

    @torch.no_grad()
    def __call__(self, ids_MB: Tensor, targets_MB: Tensor, hidden: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Ids and targets [M, B], state of each layer [M, B, S] -> mean losses [M] (nats), next state of each layer.

        The gradients of each model's own mean loss are left in the buffers.
        """
        model = self._model
        x_MBS = self._embed(ids_MB)
        layers = []
        following = []
        for index in range(model.n_layers):
            layer = _Layer(self, f"layers.{index}")
            x_MBS = layer.forward(x_MBS, hidden[index])
            layers.append(layer)
            following.append(layer.n)
        loss_M, d_MBS = self._head(x_MBS, targets_MB)
        for layer in reversed(layers):
            d_MBS = layer.backward(d_MBS)
        self._embed_backward(ids_MB, d_MBS)
        return loss_M, following

    def users(self, name: str) -> Users | None:
        """The models that have the parameter, or None where nobody has."""
        return self._model.users.get(name)

    def linear(self, name: str, x_UBK: Tensor) -> Tensor:
        """W x + b, [U, B, N]."""
        return torch.baddbmm(self._parameters[f"{name}.bias"].unsqueeze(1), x_UBK, self._parameters[f"{name}.weight"])

    def weight(self, name: str) -> Tensor:
        """A parameter, [U, ...]."""
        return self._parameters[name]

    def linear_backward(self, name: str, x_UBK: Tensor, d_UBN: Tensor) -> None:
        """Gradients of weight and bias of a linear map."""
        self.weight_backward(f"{name}.weight", x_UBK, d_UBN)
        torch.sum(d_UBN, dim=1, out=self._gradients[f"{name}.bias"])

    def weight_backward(self, name: str, x_UBK: Tensor, d_UBN: Tensor) -> None:
        """Gradient of a weight matrix: x^T d."""
        torch.bmm(x_UBK.transpose(1, 2), d_UBN, out=self._gradients[name])

    def bias_backward(self, name: str, d_UBN: Tensor) -> None:
        """Gradient of a bias."""
        torch.sum(d_UBN, dim=1, out=self._gradients[name])

    def _embed(self, ids_MB: Tensor) -> Tensor:
        weight_MVS = self._parameters["embed.weight"]
        rows = torch.arange(len(ids_MB), device=ids_MB.device).unsqueeze(1)
        return weight_MVS[rows, ids_MB].add_(self._parameters["embed.bias"].unsqueeze(1))

    def _embed_backward(self, ids_MB: Tensor, d_MBS: Tensor) -> None:
        places = ids_MB.unsqueeze(1)
        self._one_hot_MVB.scatter_(1, places, 1.0)
        torch.bmm(self._one_hot_MVB, d_MBS, out=self._gradients["embed.weight"])
        self._one_hot_MVB.scatter_(1, places, 0.0)
        self.bias_backward("embed.bias", d_MBS)

    def _head(self, x_MBS: Tensor, targets_MB: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of each model, [M], and its gradient towards the head's input."""
        logits_MBV = self.linear("head", x_MBS)
        places = targets_MB.unsqueeze(2)
        target_MB = logits_MBV.gather(2, places).squeeze(2)
        highest_MB = logits_MBV.amax(dim=2)
        p_MBV = torch.softmax(logits_MBV, dim=2)
        # -log softmax(z)[t] = log(sum exp(z - max)) + max - z[t]. The sum is 1 / p[largest], which cannot overflow.
        loss_MB = highest_MB - target_MB - p_MBV.amax(dim=2).log_()
        p_MBV.scatter_add_(2, places, p_MBV.new_full((), -1.0).expand(places.shape))
        d_MBV = p_MBV.mul_(self._scale)
        self.linear_backward("head", x_MBS, d_MBV)
        return loss_MB.mean(dim=1), torch.bmm(d_MBV, self._parameters["head.weight"].transpose(1, 2))


class _Layer:
    """One layer's forward pass and what its backward pass needs of it. Equations: rnnlab/models/gated.py."""

    def __init__(self, step: OnlineStep, at: str) -> None:
        self._step = step
        self._at = at
        self.n = torch.empty(0)  # next state, [M, B, S]

    def forward(self, x_MBS: Tensor, h_MBS: Tensor) -> Tensor:
        """Input and old state, [M, B, S] -> output, [M, B, S]; the next state is left in `n`."""
        step, at = self._step, self._at
        self._x, self._h = x_MBS, h_MBS
        self._state_size = x_MBS.shape[2]
        self._c_plain = torch.cat([x_MBS, h_MBS], dim=2)
        self._c = self._c_plain
        if users := step.users(f"{at}.input_gate.weight"):
            c_U = users.take(self._c_plain)
            self._input_gate = logistic_(step.linear(f"{at}.input_gate", c_U))
            self._c = users.put(self._c_plain, self._input_gate * c_U)
        self._candidate = step.linear(f"{at}.candidate", self._c).tanh_()
        self.n = self._candidate
        if users := step.users(f"{at}.state_gate.weight"):
            n_U, h_U = users.take(self.n), users.take(h_MBS)
            self._state_input = torch.cat([users.take(self._c), n_U], dim=2)
            self._state_gate = logistic_(step.linear(f"{at}.state_gate", self._state_input))
            self.n = users.put(self.n, self._state_gate * n_U + (1 - self._state_gate) * h_U)
        if users := step.users(f"{at}.forget_gate.weight"):
            n_U = users.take(self.n)
            self._forget_input = torch.cat([users.take(self._c), n_U], dim=2)
            self._forget_gate = logistic_(step.linear(f"{at}.forget_gate", self._forget_input))
            self.n = users.put(self.n, self._forget_gate * n_U)
        return self._output()

    def _output(self) -> Tensor:
        step, at = self._step, self._at
        self._sources = {
            "new_state": self.n,
            "old_state": self._c[:, :, self._state_size :],
            "residual": self._x,
        }
        self._o = self._split_linear(f"{at}.output", self._sources)
        gate = self._o.clone()
        self._gate_users = step.users(f"{at}.output_gate.bias")
        if self._gate_users is None:
            self._gate = logistic_(gate)
        else:
            pre = self._split_linear(f"{at}.output_gate", {"output": self._o, **self._sources})
            self._gate = logistic_(self._gate_users.put(gate, self._gate_users.take(pre)))
        return self._o * self._gate

    def backward(self, d_MBS: Tensor) -> Tensor:
        """Gradient towards the output -> gradient towards the input, both [M, B, S]. Fills the gradient buffers."""
        step, at = self._step, self._at
        d = {source: torch.zeros_like(d_MBS) for source in self._sources}
        self._output_backward(d_MBS, d)
        d_c = torch.cat([torch.zeros_like(d_MBS), d["old_state"]], dim=2)
        d_n = d["new_state"]
        width = 2 * self._state_size
        if users := step.users(f"{at}.forget_gate.weight"):
            d_n_U, gate = users.take(d_n), self._forget_gate
            n_before_U = self._forget_input[:, :, width:]
            d_pre = d_n_U * n_before_U * gate * (1 - gate)
            step.linear_backward(f"{at}.forget_gate", self._forget_input, d_pre)
            d_in = torch.bmm(d_pre, step.weight(f"{at}.forget_gate.weight").transpose(1, 2))
            d_n = users.put(d_n, d_n_U * gate + d_in[:, :, width:])
            d_c = users.add(d_c, d_in[:, :, :width])
        if users := step.users(f"{at}.state_gate.weight"):
            d_n_U, gate = users.take(d_n), self._state_gate
            d_pre = d_n_U * (self._state_input[:, :, width:] - users.take(self._h)) * gate * (1 - gate)
            step.linear_backward(f"{at}.state_gate", self._state_input, d_pre)
            d_in = torch.bmm(d_pre, step.weight(f"{at}.state_gate.weight").transpose(1, 2))
            d_n = users.put(d_n, d_n_U * gate + d_in[:, :, width:])
            d_c = users.add(d_c, d_in[:, :, :width])
        d_pre = d_n * (1 - self._candidate * self._candidate)
        step.linear_backward(f"{at}.candidate", self._c, d_pre)
        d_c += torch.bmm(d_pre, step.weight(f"{at}.candidate.weight").transpose(1, 2))
        if users := step.users(f"{at}.input_gate.weight"):
            d_c_U, c_U, gate = users.take(d_c), users.take(self._c_plain), self._input_gate
            d_pre = d_c_U * c_U * gate * (1 - gate)
            step.linear_backward(f"{at}.input_gate", c_U, d_pre)
            d_in = torch.bmm(d_pre, step.weight(f"{at}.input_gate.weight").transpose(1, 2))
            d_c = users.put(d_c, d_c_U * gate + d_in)
        return d["residual"] + d_c[:, :, : self._state_size]

    def _output_backward(self, d_MBS: Tensor, d: dict[str, Tensor]) -> None:
        """From the gradient towards the layer's output to those towards its sources, added to `d`."""
        at, gate = self._at, self._gate
        d_gate_pre = d_MBS * self._o * gate * (1 - gate)
        d_o = d_MBS * gate
        if self._gate_users is None:
            d_o += d_gate_pre  # swish: the gate's input is o itself
        else:
            by_user = self._gate_users
            d_of = {"output": torch.zeros_like(d_MBS), **d}
            self._split_backward(f"{at}.output_gate", {"output": self._o, **self._sources}, d_gate_pre, d_of)
            d_plain = d_o + d_gate_pre
            d_o = by_user.put(d_plain, by_user.take(d_o) + by_user.take(d_of.pop("output")))
            d.update(d_of)
        self._split_backward(f"{at}.output", self._sources, d_o, d)

    def _split_linear(self, name: str, sources: Mapping[str, Tensor]) -> Tensor:
        """Sum over the sources of W_source source, plus b, [M, B, S]; zero for models without this map."""
        step = self._step
        bias_users = step.users(f"{name}.bias")
        assert bias_users is not None
        like = self.n
        bias = step.weight(f"{name}.bias").unsqueeze(1).expand(-1, like.shape[1], -1)
        total = bias_users.add(torch.zeros_like(like), bias)
        for source, x_MBS in sources.items():
            if users := step.users(f"{name}.from_{source}"):
                total = users.add(total, torch.bmm(users.take(x_MBS), step.weight(f"{name}.from_{source}")))
        return total

    def _split_backward(self, name: str, sources: Mapping[str, Tensor], d_MBS: Tensor, d: dict[str, Tensor]) -> None:
        step = self._step
        bias_users = step.users(f"{name}.bias")
        assert bias_users is not None
        step.bias_backward(f"{name}.bias", bias_users.take(d_MBS))
        for source, x_MBS in sources.items():
            if users := step.users(f"{name}.from_{source}"):
                d_U = users.take(d_MBS)
                weight = step.weight(f"{name}.from_{source}")
                step.weight_backward(f"{name}.from_{source}", users.take(x_MBS), d_U)
                d[source] = users.add(d[source], torch.bmm(d_U, weight.transpose(1, 2)))
