"""JAX: `vmap` over M models, `scan` over the steps of a block, as one compiled program that reuses its buffers.

Shapes: K steps of a block, M models, B batch rows, S state size.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.training import task as tasks
from benchmarks.training.jax_models import loss_of
from benchmarks.training.task import Task
from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.spec.regime_settings import OnlineSettings

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # torch's

Tree = Any  # nested dicts and lists of jax arrays


class JaxScan:
    """The first `n_models` models of the task."""

    def __init__(self, task: Task, n_models: int) -> None:
        self._task, self._n_models = task, n_models
        model, training = task.config.model, task.config.training
        weights = {name: jnp.array(value[:n_models]) for name, value in task.weights.items()}
        shape = (n_models, training.batch_size, model.state_size)
        n_states = model.n_layers if isinstance(model, GatedSettings) else 0
        state = [jnp.zeros(shape) for _ in range(n_states)]
        zeros = {name: jnp.zeros_like(value) for name, value in weights.items()}
        second = {name: jnp.zeros_like(value) for name, value in weights.items()}
        self._carry: Tree = (weights, zeros, second, state, jnp.zeros((), jnp.int32))
        gradient = jax.vmap(jax.value_and_grad(loss_of(model), has_aux=True))
        decay = 0.0 if isinstance(training, OnlineSettings) else training.weight_decay
        decoupled = training.optimizer == "adamw"
        rate = training.learning_rate

        def step(carry: Tree, batch: Tree) -> tuple[Tree, jax.Array]:
            w, m, v, state, t = carry
            inputs, targets, starts = batch
            state = [jnp.where(starts, 0.0, h) for h in state]
            (loss_M, state), g = gradient(w, inputs.astype(jnp.int32), targets.astype(jnp.int32), state)
            t = t + 1
            factor = rate / (1 - BETA1**t)
            root = jnp.sqrt(1 - BETA2**t)
            if decay and decoupled:
                w = jax.tree.map(lambda w: w * (1 - rate * decay), w)
            elif decay:
                g = jax.tree.map(lambda g, w: g + decay * w, g, w)
            m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
            v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
            w = jax.tree.map(lambda w, m, v: w - factor * m / (jnp.sqrt(v) / root + EPSILON), w, m, v)
            return (w, m, v, state, t), loss_M

        self._train = jax.jit(lambda carry, block: jax.lax.scan(step, carry, block), donate_argnums=0)
        self._block = 0
        self.losses_KM: tasks.Array = np.empty(0)

    def train_block(self) -> int:
        """Train a block of steps; returns the number of model-steps."""
        inputs, targets, starts = self._task.block(self._block)
        self._block += 1
        M = self._n_models
        self._carry, losses_KM = self._train(self._carry, (inputs[:, :M], targets[:, :M], starts))
        self.losses_KM = np.asarray(losses_KM)  # waits for the device
        return self.losses_KM.size
