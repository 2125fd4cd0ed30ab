"""The models in JAX, one model each; the model axis comes from `vmap`.

Shapes: B batch rows, T symbols of a window, P projected inputs, S state size, V vocabulary. A weight is [inputs,
outputs] and is named as in rnnlab's states.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jax import Array

from rnnlab.spec.cells import GatedSettings, LinearSettings, ModelSettings, UpdateGateSettings

Weights = Mapping[str, Array]
# (weights, symbols, targets, state of each layer) -> (mean loss in nats, next state of each layer)
Loss = Callable[[Weights, Array, Array, list[Array]], tuple[Array, list[Array]]]
_UNROLLED_STEPS = 16  # of a window, side by side in one iteration of the loop over time


def loss_of(settings: ModelSettings) -> Loss:
    """The loss of one model, to be differentiated by its weights."""
    if isinstance(settings, GatedSettings):
        return lambda w, ids, targets, state: _gated_loss(settings, w, ids, targets, state)
    assert isinstance(settings, LinearSettings | UpdateGateSettings)
    stack = settings
    return lambda w, ids, targets, state: (_recurrent_loss(stack, w, ids, targets), state)


def _cross_entropy(logits: Array, targets: Array) -> Array:
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def _rows(table_VS: Array, ids: Array) -> Array:
    """A product with one-hot vectors: on a CPU, the gradient of a gather is an addition row by row, which is slower."""
    if jax.default_backend() == "cpu":
        return jax.nn.one_hot(ids, len(table_VS), dtype=table_VS.dtype) @ table_VS
    return table_VS[ids]


def _gated_loss(
    use: GatedSettings, w: Weights, ids_B: Array, targets_B: Array, state: list[Array]
) -> tuple[Array, list[Array]]:
    """See the equations in rnnlab/models/gated.py."""

    def linear(name: str, x: Array) -> Array:
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    x = _rows(w["embed.weight"], ids_B) + w["embed.bias"]
    following = []
    for layer, h in enumerate(state):
        at = f"layers.{layer}"
        c = jnp.concatenate([x, h], axis=-1)
        if use.use_input_gate:
            c = jax.nn.sigmoid(linear(f"{at}.input_gate", c)) * c
        n = jnp.tanh(linear(f"{at}.candidate", c))
        if use.use_state_gate:
            g = jax.nn.sigmoid(linear(f"{at}.state_gate", jnp.concatenate([c, n], axis=-1)))
            n = g * n + (1 - g) * h
        if use.use_forget_gate:
            n = jax.nn.sigmoid(linear(f"{at}.forget_gate", jnp.concatenate([c, n], axis=-1))) * n
        sources = {"new_state": n, "old_state": c[:, use.state_size :], "residual": x}
        used = {name: value for name, value in sources.items() if getattr(use, f"use_{name}")}
        o = _joined(w, f"{at}.output", used)
        gate = _joined(w, f"{at}.output_gate", {"output": o, **used}) if use.use_output_gate else o
        x = o * jax.nn.sigmoid(gate)
        following.append(n)
    return _cross_entropy(linear("head", x), targets_B), following


def _joined(w: Weights, name: str, sources: Mapping[str, Array]) -> Array:
    """One product for all sources: W [sources] + b."""
    weight = jnp.concatenate([w[f"{name}.from_{source}"] for source in sources])
    return jnp.concatenate(list(sources.values()), axis=-1) @ weight + w[f"{name}.bias"]


def _recurrent_loss(
    settings: LinearSettings | UpdateGateSettings, w: Weights, ids_BT: Array, targets_BT: Array
) -> Array:
    """The products with the inputs are made for all steps at once; the loop over time is a scan."""
    B, S = len(ids_BT), settings.state_size
    x_TB = _rows(w["embedding.weight"], ids_BT.T)
    for layer in range(settings.n_layers):
        own = {name.removeprefix(f"layers.{layer}."): value for name, value in w.items()}
        start_S = own["start"][0] if settings.start_state == "learned" else jnp.zeros(S)
        p_TBP = x_TB @ own["input.weight"] + own["input.bias"]

        def step(h_BS: Array, p_BP: Array, own: Weights = own) -> tuple[Array, Array]:
            new = _cell(settings, own, h_BS, p_BP)
            return new, new

        _, x_TB = jax.lax.scan(step, jnp.broadcast_to(start_S, (B, S)), p_TBP, unroll=min(len(p_TBP), _UNROLLED_STEPS))
    return _cross_entropy(x_TB @ w["head.weight"] + w["head.bias"], targets_BT.T)


def _cell(settings: LinearSettings | UpdateGateSettings, w: Weights, h: Array, p: Array) -> Array:
    """See the equations in rnnlab/models/cells.py."""
    S = settings.state_size
    if isinstance(settings, LinearSettings):
        assert settings.cell == "rnn"
        return jnp.tanh(p + h @ w["recurrent.weight"])
    assert settings.cell == "gru-reset-before"
    r, z = jnp.split(jax.nn.sigmoid(p[:, : 2 * S] + h @ w["recurrent.weight"]), 2, axis=-1)
    c = jnp.tanh(p[:, 2 * S :] + (r * h) @ w["candidate.weight"])
    return (1 - z) * h + z * c if settings.update_gate == "replaces" else z * h + (1 - z) * c
