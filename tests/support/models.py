"""Configs, and a plain training loop with torch.optim for comparisons."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rnnlab.models.reference import GatedLanguageModel
from rnnlab.spec.cell_settings import GatedSettings, RecurrentSettings
from rnnlab.spec.regime_settings import OnlineSettings
from rnnlab.spec.run_config import RunConfig, parse_run_config
from rnnlab.training.online_batches import OnlineBatches
from rnnlab.training.run_state import EMA_DECAY, EMA_START_NATS, fresh_state

VOCABULARY = 256
_OUTPUTS = ((True, False), (False, True), (True, True))


def all_gate_settings(n_layers: int, state_size: int) -> list[GatedSettings]:
    """Every combination of gates, states and residual: 96."""
    return [
        GatedSettings(
            n_layers=n_layers,
            state_size=state_size,
            use_input_gate=input_gate,
            use_forget_gate=forget_gate,
            use_output_gate=output_gate,
            use_state_gate=state_gate,
            use_new_state=new,
            use_old_state=old,
            use_residual=residual,
        )
        for input_gate, forget_gate, output_gate, state_gate, (new, old), residual in itertools.product(
            (False, True), (False, True), (False, True), (False, True), _OUTPUTS, (False, True)
        )
    ]


def residual_only(n_layers: int, state_size: int) -> list[GatedSettings]:
    """Models whose output depends only on their input: allowed, though not useful."""
    return [
        one.model_copy(update={"use_new_state": False, "use_old_state": False})
        for one in all_gate_settings(n_layers, state_size)
        if one.use_residual and one.use_new_state and not one.use_old_state
    ]


def run_config(model: GatedSettings, *, seed: int = 0, **training: int | float) -> RunConfig:
    """A run config without a real text."""
    return parse_run_config(
        {
            "corpus": {"name": "none", "sha256": "0" * 64},
            "tokenizer": {"kind": "bytes"},
            "split": {"train": 0.9, "validation": 0.05, "test": 0.05},
            "evaluation": {"windows": 4},
            "model": model.model_dump(),
            "training": {
                "regime": "online",
                "batch_size": 8,
                "window_length": 41,
                "windows": 2,
                "optimizer": "adam",
                "learning_rate": 5e-3,
                "record_every": 10,
                **training,
            },
            "seed": seed,
        }
    )


def bptt_config(model: RecurrentSettings, *, seed: int = 0, evaluation_windows: int = 4, **training: Any) -> RunConfig:
    """A run config of the BPTT regime without a real text: random windows, unless `training` says otherwise."""
    return parse_run_config(
        {
            "corpus": {"name": "none", "sha256": "0" * 64},
            "tokenizer": {"kind": "bytes"},
            "split": {"train": 0.9, "validation": 0.05, "test": 0.05},
            "evaluation": {"windows": evaluation_windows},
            "model": model.model_dump(),
            "training": {"regime": "bptt", "batch_size": 5, "block_size": 4, "record_every": 3, **training},
            "seed": seed,
        }
    )


def random_tokens(n: int) -> Tensor:
    """Symbols with a little structure, so that there is something to learn."""
    generator = torch.Generator().manual_seed(1)
    steps = torch.randint(0, 4, (n,), generator=generator).cumsum(0)
    return (steps % VOCABULARY).to(torch.uint8)


def plain_losses(config: RunConfig, tokens: Tensor, n_steps: int) -> list[float]:
    """Losses of the textbook model with torch.optim.Adam on the same batches, one step per symbol."""
    assert isinstance(config.model, GatedSettings)
    assert isinstance(config.training, OnlineSettings)
    model = GatedLanguageModel(config.model, VOCABULARY)
    model.load_cohort_parameters(fresh_state(config, VOCABULARY).parameters)
    optimizer = torch.optim.Adam(model.parameters(), lr=config.training.learning_rate)
    inputs_KB = torch.empty(n_steps, config.training.batch_size, dtype=torch.int64)
    targets_KB = torch.empty_like(inputs_KB)
    starts = OnlineBatches(config.training, config.seed, tokens).fill(0, inputs_KB, targets_KB)
    losses = []
    state: list[Tensor] = []
    for step in range(n_steps):
        if step in starts:
            state = model.initial_state(config.training.batch_size)
        logits_BV, state = model(inputs_KB[step], state)
        loss = nn.functional.cross_entropy(logits_BV, targets_KB[step])
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


def min_ema(losses: Sequence[float], record_every: int) -> float:
    """The published metric: EMA 0.95 from 3.0, recorded every `record_every` steps, the minimum of the records."""
    ema, recorded = EMA_START_NATS, []
    for step, loss in enumerate(losses, start=1):
        ema = EMA_DECAY * ema + (1 - EMA_DECAY) * loss
        if step % record_every == 0:
            recorded.append(ema)
    return min(recorded)
