"""The models in JAX, each as one model; `vmap` adds the model axis.

Shapes: B batch rows, T symbols of a window, P projected inputs, S state size, V vocabulary. A weight is [inputs,
outputs] and has the same name as in rnnlab's states.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from rnnlab.spec.cell_settings import GatedSettings, ModelSettings, RecurrentSettings, UpdateGateSettings

Weights = Mapping[str, Array]
# (weights, symbols, targets, state of each layer) -> (mean loss in nats, next state of each layer)
Loss = Callable[[Weights, Array, Array, list[Array]], tuple[Array, list[Array]]]


def loss_of(settings: ModelSettings) -> Loss:
    """The loss of one model, to be differentiated with respect to its weights."""
    if isinstance(settings, GatedSettings):
        return lambda w, ids, targets, state: _gated_loss(settings, w, ids, targets, state)
    stack = settings
    return lambda w, ids, targets, state: (_recurrent_loss(stack, w, ids, targets), state)


def _cross_entropy(logits: Array, targets: Array) -> Array:
    chosen = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - chosen)


def _gated_loss(
    use: GatedSettings, w: Weights, ids_B: Array, targets_B: Array, state: list[Array]
) -> tuple[Array, list[Array]]:
    """See the equations in rnnlab/models/gated/gated_cohort.py."""

    def linear(name: str, x: Array) -> Array:
        return x @ w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["embed.weight"][ids_B] + w["embed.bias"]
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


def _recurrent_loss(settings: RecurrentSettings, w: Weights, ids_BT: Array, targets_BT: Array) -> Array:
    """The products with the inputs are computed for all steps at once."""
    B, S = len(ids_BT), settings.state_size
    x_TBS = w["embedding.weight"][ids_BT.T]
    layer_of = _layer(settings)
    for layer in range(settings.n_layers):
        own = {name.removeprefix(f"layers.{layer}."): value for name, value in w.items()}
        start_S = own["start"][0] if settings.start_state == "learned" else jnp.zeros(S)
        p_TBP = x_TBS @ own["input.weight"] + own["input.bias"]
        recurrent: Weights = {name: own[name] for name in ("recurrent.weight", "candidate.weight") if name in own}
        x_TBS = layer_of(recurrent, p_TBP, jnp.broadcast_to(start_S, (B, S)))
    return _cross_entropy(x_TBS @ w["head.weight"] + w["head.bias"], targets_BT.T)


def _layer(settings: RecurrentSettings) -> Callable[[Weights, Array, Array], Array]:
    """Projected inputs [T, B, P] and the start state [B, S] -> the states [T, B, S].

    The gradient of the recurrent weights is one product over all steps, with the gradient of the projected inputs. If
    JAX differentiated the scan, it would compute and add up one small product at each step. The scan is not unrolled:
    at S 256 and T 64, unrolling by eight gave 3.7 steps/s instead of 6.8.
    """
    cell = {"rnn": _rnn, "gru-reset-before": _gru(settings)}[settings.cell]

    def over_time(w: Weights, p_TBP: Array, start_BS: Array) -> tuple[Array, Weights]:
        def step(h_BS: Array, p_BP: Array) -> tuple[Array, tuple[Array, Weights]]:
            new, multiplied = cell(w, h_BS, p_BP)
            return new, (new, multiplied)

        _, (h_TBS, multiplied) = jax.lax.scan(step, start_BS, p_TBP)
        return h_TBS, multiplied

    def forward(w: Weights, p_TBP: Array, start_BS: Array) -> tuple[Array, Any]:
        h_TBS, back, multiplied = jax.vjp(lambda p, start: over_time(w, p, start), p_TBP, start_BS, has_aux=True)
        return h_TBS, (back, multiplied)

    def backward(kept: Any, d_TBS: Array) -> tuple[Weights, Array, Array]:
        back, multiplied = kept
        d_TBP, d_start = back(d_TBS)
        P, S = d_TBP.shape[-1], d_TBS.shape[-1]
        n_gates = P - S if "candidate.weight" in multiplied else P
        columns = {"recurrent.weight": slice(n_gates), "candidate.weight": slice(n_gates, P)}
        parts = {
            name: jnp.einsum("tbs,tbp->sp", x_TBS, d_TBP[..., columns[name]]) for name, x_TBS in multiplied.items()
        }
        return parts, d_TBP, d_start

    differentiable = jax.custom_vjp(lambda w, p_TBP, start_BS: over_time(w, p_TBP, start_BS)[0])
    differentiable.defvjp(forward, backward)
    layer: Callable[[Weights, Array, Array], Array] = differentiable
    return layer


# A cell: (weights, state [B, S], projected inputs [B, P]) -> (next state, the factor of each weight)
Cell = Callable[[Weights, Array, Array], tuple[Array, Weights]]


def _rnn(w: Weights, h: Array, p: Array) -> tuple[Array, Weights]:
    return jnp.tanh(p + h @ w["recurrent.weight"]), {"recurrent.weight": h}


def _gru(settings: RecurrentSettings) -> Cell:
    """See the equations in rnnlab/models/cells.py."""
    replaces = isinstance(settings, UpdateGateSettings) and settings.update_gate == "replaces"

    def cell(w: Weights, h: Array, p: Array) -> tuple[Array, Weights]:
        S = h.shape[-1]
        r, z = jnp.split(jax.nn.sigmoid(p[:, : 2 * S] + h @ w["recurrent.weight"]), 2, axis=-1)
        rh = r * h
        c = jnp.tanh(p[:, 2 * S :] + rh @ w["candidate.weight"])
        new = (1 - z) * h + z * c if replaces else z * h + (1 - z) * c
        return new, {"recurrent.weight": h, "candidate.weight": rh}

    return cell
