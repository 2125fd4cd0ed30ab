"""Training against torch.optim and against the plain loop."""

import gzip

import pytest
import torch

from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.run_state import fresh_state
from tests.support.models import VOCABULARY, min_ema, plain_losses, random_tokens, run_config
from tests.support.paths import public_text

_CPU = torch.device("cpu")
_ORDER_0_ENTROPY_NATS = 3.507  # plug-in entropy of the first MB of enwik8, per byte


def _configs(state_size: int, batch_size: int) -> list[GatedSettings]:
    return [
        GatedSettings(n_layers=1, state_size=state_size, use_forget_gate=True, use_state_gate=True),
        GatedSettings(n_layers=1, state_size=state_size, use_old_state=True, use_output_gate=True),
        GatedSettings(n_layers=1, state_size=state_size, use_new_state=False, use_old_state=True, use_input_gate=True),
        GatedSettings(
            n_layers=1,
            state_size=state_size,
            use_input_gate=True,
            use_forget_gate=True,
            use_output_gate=True,
            use_state_gate=True,
            use_old_state=True,
        ),
        GatedSettings(n_layers=1, state_size=state_size, use_residual=False),
    ]


@pytest.mark.parametrize(
    ("state_size", "batch_size"),
    [(32, 32), pytest.param(256, 256, marks=pytest.mark.storm)],
)
def test_min_ema_over_999_steps_equals_the_plain_loop_with_torch_adam(state_size: int, batch_size: int) -> None:
    tokens = torch.frombuffer(
        bytearray(gzip.decompress(public_text("enwik8.first1MB.gz").read_bytes())), dtype=torch.uint8
    )
    configs = [
        run_config(model, batch_size=batch_size, window_length=1000, windows=1, learning_rate=1e-3, record_every=50)
        for model in _configs(state_size, batch_size)
    ]
    assert len({config.hash for config in configs}) == 5
    members = [Member(config, fresh_state(config, VOCABULARY)) for config in configs]
    cohort = Cohort(members, tokens, VOCABULARY, _CPU)
    assert cohort.run_block(999, 1) == 999
    for member in cohort.members():
        expected = min_ema(plain_losses(member.config, tokens, 999), 50)
        assert abs(min(member.state.curve_ema_loss) - expected) <= 1e-4
        assert len(member.state.curve_ema_loss) == 19
        assert min(member.state.curve_ema_loss) < _ORDER_0_ENTROPY_NATS  # it uses more than letter frequencies


def test_the_state_is_zero_at_each_window_start() -> None:
    config = run_config(GatedSettings(n_layers=2, state_size=6), window_length=11, windows=3, batch_size=3)
    tokens = random_tokens(500)
    cohort = Cohort([Member(config, fresh_state(config, VOCABULARY))], tokens, VOCABULARY, _CPU)
    cohort.run_block(30, 1)
    (member,) = cohort.members()
    losses = plain_losses(config, tokens, 30)
    assert member.state.curve_steps == [10, 20, 30]
    assert member.state.ema_loss == pytest.approx(_ema(losses), abs=1e-5)


def _ema(losses: list[float]) -> float:
    ema = 3.0
    for loss in losses:
        ema = 0.95 * ema + 0.05 * loss
    return ema
