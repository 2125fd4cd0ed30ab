"""Training against torch.optim and against the plain loop."""

import gzip
from pathlib import Path

import pytest
import torch

from rnnlab.models.numerics import Users
from rnnlab.spec.cells import GatedSettings
from rnnlab.training.adam import CohortAdam
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.run_state import fresh_state
from tests.oracle.helpers import VOCABULARY, min_ema, plain_losses, random_tokens, run_config

_ENWIK8 = Path(__file__).parents[3] / "shared" / "data" / "enwik8.first1MB.gz"
_CPU = torch.device("cpu")
_ORDER_0_ENTROPY_NATS = 3.507  # plug-in entropy of the first MB of enwik8, per byte


def test_adam_equals_torch_adam_over_100_steps_with_a_rate_and_a_step_count_for_each_model() -> None:
    torch.manual_seed(0)
    rates, late = [1e-3, 3e-2, 0.5], [0, 7, 40]  # model m starts `late[m]` steps after the first
    start = {"w": torch.randn(3, 4, 5, dtype=torch.float64), "b": torch.randn(2, 5, dtype=torch.float64)}
    users = {"w": Users([0, 1, 2], 3, _CPU), "b": Users([0, 2], 3, _CPU)}
    plain = {
        m: {
            name: torch.nn.Parameter(start[name][users[name].members.index(m)].clone())
            for name in start
            if m in users[name].members
        }
        for m in range(3)
    }
    optimizers = {m: torch.optim.Adam(plain[m].values(), lr=rates[m]) for m in range(3)}
    parameters = {name: value.clone() for name, value in start.items()}
    moments = [{name: torch.zeros_like(value) for name, value in start.items()} for _ in range(2)]
    adam = CohortAdam(parameters, users, moments[0], moments[1])
    done = [0, 0, 0]
    for step in range(100):
        gradients = {name: torch.randn_like(value) for name, value in start.items()}
        active = [m for m in range(3) if step >= late[m]]
        tensors = (parameters, moments[0], moments[1])
        before = {name: [tensor[name].clone() for tensor in tensors] for name in start}
        factors, roots = adam.schedule(done, [rates])
        adam.update([gradients[name] for name in parameters], factors[0], roots[0])
        for m in range(3):
            if m not in active:  # not born yet: put its rows back
                for name in plain[m]:
                    row = users[name].members.index(m)
                    for tensor, old in zip(tensors, before[name], strict=True):
                        tensor[name][row] = old[row]
                continue
            done[m] += 1
            for name, parameter in plain[m].items():
                parameter.grad = gradients[name][users[name].members.index(m)].clone()
            optimizers[m].step()
    assert done == [100, 93, 60]
    for m in range(3):
        for name, parameter in plain[m].items():
            mine = parameters[name][users[name].members.index(m)]
            assert (mine - parameter.detach()).abs().max().item() <= 1e-12, (m, name)


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
    if not _ENWIK8.exists():
        pytest.skip(f"{_ENWIK8.name} is not beside the checkout")
    tokens = torch.frombuffer(bytearray(gzip.decompress(_ENWIK8.read_bytes())), dtype=torch.uint8)
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
