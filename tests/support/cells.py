"""Settings of cells, and every cell as its textbook equation in a plain float64 loop.

Shapes: B batch rows, T steps of a window, S state size, V vocabulary.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rnnlab.spec.cell_settings import CELL_SETTINGS, GatedSettings, RecurrentSettings

STATE_SIZE = 6  # unless a test says otherwise
Layer = Mapping[str, Tensor]  # one model's parameters of one layer


State = tuple[Tensor, ...]  # [B, S] each


def settings_of(cell: str, **more: Any) -> RecurrentSettings:
    """The settings of a cell, two layers of size S unless `more` says otherwise."""
    table = CELL_SETTINGS[cell]
    made = table.model_validate({"cell": cell, "n_layers": 2, "state_size": STATE_SIZE, **more})
    assert not isinstance(made, GatedSettings)
    return made


def _maps(p: Layer, name: str, x: Tensor) -> list[Tensor]:
    """The map `name` of x, split into one vector of the state size for each gate."""
    return list(torch.split(x @ p[f"{name}.weight"], STATE_SIZE, dim=1))


def _joint(p: Layer, x: Tensor, h: Tensor) -> list[Tensor]:
    """W [x, h] + b for each gate, with W concatenated from its two parts; with both biases for split cells."""
    whole = torch.cat([x, h], dim=1) @ torch.cat([p["input.weight"], p["recurrent.weight"]])
    whole = whole + p["input.bias"] + p.get("recurrent.bias", torch.zeros(()))
    return list(torch.split(whole, STATE_SIZE, dim=1))


def _rnn(use: RecurrentSettings, p: Layer, x: Tensor, state: State) -> State:
    return (torch.tanh(_joint(p, x, state[0])[0]),)


def _lstm(use: RecurrentSettings, p: Layer, x: Tensor, state: State) -> State:
    h, m = state
    i, f, g, o = _joint(p, x, h)
    m = torch.sigmoid(f) * m + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(m), m


def _update(use: RecurrentSettings, z: Tensor, h: Tensor, c: Tensor) -> Tensor:
    if use.model_dump()["update_gate"] == "keeps":
        return z * h + (1 - z) * c
    return (1 - z) * h + z * c


def _reset_before(use: RecurrentSettings, p: Layer, x: Tensor, state: State) -> State:
    (h,) = state
    (r_x, z_x, c_x), (r_b, z_b, c_b) = _maps(p, "input", x), torch.split(p["input.bias"], STATE_SIZE)
    r_h, z_h = _maps(p, "recurrent", h)
    r, z = torch.sigmoid(r_x + r_h + r_b), torch.sigmoid(z_x + z_h + z_b)
    c = torch.tanh(c_x + (r * h) @ p["candidate.weight"] + c_b)
    return (_update(use, z, h, c),)


def _reset_only(use: RecurrentSettings, p: Layer, x: Tensor, state: State) -> State:
    (h,) = state
    (r_x, c_x), (r_b, c_b) = _maps(p, "input", x), torch.split(p["input.bias"], STATE_SIZE)
    r = torch.sigmoid(r_x + h @ p["recurrent.weight"] + r_b)
    return (torch.tanh(c_x + (r * h) @ p["candidate.weight"] + c_b),)


def _update_only(use: RecurrentSettings, p: Layer, x: Tensor, state: State) -> State:
    (h,) = state
    z, c = _joint(p, x, h)
    return (_update(use, torch.sigmoid(z), h, torch.tanh(c)),)


def _reset_after(use: RecurrentSettings, p: Layer, x: Tensor, state: State) -> State:
    (h,) = state
    (r_x, z_x, c_x), (r_b, z_b, c_b) = _maps(p, "input", x), torch.split(p["input.bias"], STATE_SIZE)
    (r_h, z_h, c_h), (r_d, z_d, c_d) = _maps(p, "recurrent", h), torch.split(p["recurrent.bias"], STATE_SIZE)
    r, z = torch.sigmoid(r_x + r_b + r_h + r_d), torch.sigmoid(z_x + z_b + z_h + z_d)
    c = torch.tanh(c_x + c_b + r * (c_h + c_d))
    return (_update(use, z, h, c),)


def _loop_add(use: RecurrentSettings, p: Layer, x: Tensor, state: State) -> State:
    inner = state[0] + torch.relu(x @ p["input.weight"] + p["input.bias"])
    return (torch.tanh(inner @ p["recurrent.weight"] + p["recurrent.bias"]),)


def _loop_concat(use: RecurrentSettings, p: Layer, x: Tensor, state: State) -> State:
    inner = torch.relu(_joint(p, x, state[0])[0])
    return (torch.tanh(inner @ p["hidden.weight"] + p["hidden.bias"]),)


EQUATIONS: dict[str, Callable[[RecurrentSettings, Layer, Tensor, State], State]] = {
    "rnn": _rnn,
    "lstm": _lstm,
    "gru-reset-before": _reset_before,
    "gru-reset-after": _reset_after,
    "gru-reset-only": _reset_only,
    "gru-update-only": _update_only,
    "loop-add": _loop_add,
    "loop-concat": _loop_concat,
}


def textbook(settings: RecurrentSettings, p: Mapping[str, Tensor], ids_TB: Tensor) -> Tensor:
    """One model's logits [T, B, V], symbol by symbol, from its start state."""
    n_states = 2 if settings.cell == "lstm" else 1
    batch, vocabulary = ids_TB.shape[1], p["head.bias"].shape[0]
    state: list[State] = []
    for layer in range(settings.n_layers):
        rows = [p[f"layers.{layer}.start"][n] if settings.start_state == "learned" else None for n in range(n_states)]
        zero = torch.zeros(settings.state_size, dtype=torch.float64)
        state.append(tuple((zero if row is None else row).expand(batch, -1) for row in rows))
    logits = []
    for ids_B in ids_TB:
        y = nn.functional.one_hot(ids_B, vocabulary).double()
        if settings.embedding_size:
            y = y @ p["embedding.weight"]
        for layer in range(settings.n_layers):
            at = f"layers.{layer}."
            own = {name.removeprefix(at): value for name, value in p.items() if name.startswith(at)}
            state[layer] = EQUATIONS[settings.cell](settings, own, y, state[layer])
            new = state[layer][0]
            if layer > 0 and settings.skip == "add":
                new = y + new
            if layer > 0 and settings.skip == "concat":
                new = torch.cat([new, y], dim=1)
            y = new
        logits.append(y @ p["head.weight"] + p["head.bias"])
    return torch.stack(logits)


# One of each cell, with as many different settings as possible.
CELLS: list[RecurrentSettings] = [
    settings_of("rnn", state_size=33, linear="joint", recurrent_init="orthogonal", start_state="learned"),
    settings_of("rnn", state_size=8, skip="add", embedding_size=5, recurrent_init="identity"),
    settings_of("lstm", state_size=17, skip="concat", start_state="learned", embedding_size=3),
    settings_of("lstm", state_size=2, linear="joint", n_layers=1),
    settings_of("gru-reset-before", state_size=12, update_gate="replaces", start_state="learned", embedding_size=32),
    settings_of("gru-reset-after", state_size=32, skip="add", embedding_size=16),
    settings_of("gru-reset-only", state_size=7, weight_init="normal"),
    settings_of("gru-update-only", state_size=9, embedding_size=2, skip="concat"),
    settings_of("loop-add", state_size=13, embedding_size=6, n_layers=1),
    settings_of("loop-concat", state_size=10, embedding_size=6, start_state="learned"),
]
