"""torch.func: the weights of M plain modules stacked, vmap over the gradient of one, one optimizer for all.

Shapes: K steps of a block, M models, B batch rows, T symbols of a window, S state size, V vocabulary.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from benchmarks.training.plain_loop import torch_optimizer
from benchmarks.training.plain_models import plain_model
from benchmarks.training.task import Array, Task
from rnnlab.spec.cell_settings import GatedSettings


class TorchFunc:
    """M models with equal structure and equal optimizer settings."""

    def __init__(self, task: Task, device: torch.device) -> None:
        self._task, self._device = task, device
        settings = task.config.model
        models = [
            plain_model(
                settings, {name: torch.from_numpy(w[m]) for name, w in task.weights.items()}, task.vocabulary_size
            ).to(device)
            for m in range(task.n_models)
        ]
        model = models[0]
        parameters, self._buffers = stack_module_state(models)
        # The gradients come from torch.func, so autograd does not have to track the parameters.
        self._parameters = {name: parameter.detach() for name, parameter in parameters.items()}
        self._optimizer = torch_optimizer(task.config, self._parameters.values(), fused=True)

        def loss_of_one(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor, targets: Tensor, state: Any
        ) -> tuple[Tensor, list[Tensor]]:
            if isinstance(settings, GatedSettings):
                logits, following = functional_call(model, (parameters, buffers), (inputs, state))
            else:
                logits, following = functional_call(model, (parameters, buffers), (inputs,)), []
            return nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten()), following

        self._gradients = vmap(grad_and_value(loss_of_one, has_aux=True))
        n_states = settings.n_layers if isinstance(settings, GatedSettings) else 0
        shape = (task.n_models, task.config.training.batch_size, settings.state_size)
        self._start = [torch.zeros(shape, device=device) for _ in range(n_states)]
        self._state = self._start
        self._block = 0
        self.losses_KM: Array = np.empty(0)

    def train_block(self) -> int:
        """Train a block of steps; returns the number of model-steps."""
        inputs, targets, starts = self._task.block(self._block)
        self._block += 1
        inputs_KM, targets_KM = (torch.from_numpy(part).to(self._device, torch.int64) for part in (inputs, targets))
        losses = []
        for inputs_M, targets_M, start in zip(inputs_KM, targets_KM, starts.tolist(), strict=True):
            if start:
                self._state = self._start
            gradients, (loss_M, self._state) = self._gradients(
                self._parameters, self._buffers, inputs_M, targets_M, self._state
            )
            for name, parameter in self._parameters.items():
                # If the strides differ from the parameter's, the fused optimizer of torch 2.13 makes wrong updates.
                parameter.grad = gradients[name].contiguous()
            self._optimizer.step()
            losses.append(loss_M)
        self.losses_KM = torch.stack(losses).cpu().numpy()
        return self.losses_KM.size
