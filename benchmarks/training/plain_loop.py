"""The plain loop: one model after another, autograd, an optimizer of torch, the loss read at each step.

Shapes: K steps of a block, M models, B batch rows, T symbols of a window, S state size, V vocabulary.
"""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.training.plain_models import plain_model
from benchmarks.training.task import Array, Task
from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.spec.run_config import RunConfig


def torch_optimizer(config: RunConfig, parameters: Iterable[Tensor], *, fused: bool) -> torch.optim.Optimizer:
    """Adam or AdamW, as set in the config."""
    training = config.training
    assert not training.clip_norm
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    rate, decay = training.learning_rate, training.weight_decay
    return kind(parameters, lr=rate, weight_decay=decay, fused=fused or None)


class PlainModel:
    """One model and its optimizer."""

    def __init__(
        self, config: RunConfig, parameters: Mapping[str, Tensor], vocabulary_size: int, device: torch.device
    ) -> None:
        self._online = isinstance(config.model, GatedSettings)
        self._model = plain_model(config.model, parameters, vocabulary_size).to(device)
        self._optimizer = torch_optimizer(config, self._model.parameters(), fused=False)
        self._start = [
            torch.zeros(config.training.batch_size, config.model.state_size, device=device)
            for _ in range(config.model.n_layers)
        ]
        self._state = self._start

    def step(self, inputs: Tensor, targets: Tensor, starts: bool) -> float:
        """One optimizer step on int64 [B] (online) or [B, T]; returns the mean loss, nats per symbol."""
        if self._online:
            if starts:
                self._state = self._start
            logits, self._state = self._model(inputs, self._state)
        else:
            logits = self._model(inputs)
        loss = nn.functional.cross_entropy(logits.flatten(0, -2), targets.flatten())
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.item()


class PlainLoop:
    """Model `number` of the task; training all M models one after another would have the same speed."""

    def __init__(self, task: Task, device: torch.device, number: int = 0) -> None:
        self._task, self._device, self._m = task, device, number % task.n_models
        parameters = {name: torch.from_numpy(value[self._m]) for name, value in task.weights.items()}
        self._model = PlainModel(task.config, parameters, task.vocabulary_size, device)
        self._block = 0
        self.losses_KM: Array = np.empty(0)

    def train_block(self) -> int:
        """Train a block of steps; returns the number of model-steps."""
        inputs, targets, starts = self._task.block(self._block)
        self._block += 1
        inputs_K, targets_K = (
            torch.from_numpy(part[:, self._m]).to(self._device, torch.int64) for part in (inputs, targets)
        )
        losses = [
            self._model.step(one, target, start)
            for one, target, start in zip(inputs_K, targets_K, starts.tolist(), strict=True)
        ]
        self.losses_KM = np.array(losses)[:, None]
        return len(losses)
