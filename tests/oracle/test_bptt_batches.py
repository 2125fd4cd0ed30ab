"""The windows of a run's optimizer steps: properties of every kind of sampling."""

from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnlab.data.splits import Splits
from rnnlab.errors import CorpusError
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.training.bptt_batches import WindowSampler
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.evaluation.final_losses import final_losses
from rnnlab.training.run_state import fresh_state
from tests.support.cells import settings_of, textbook
from tests.support.models import bptt_config, random_tokens

GOLDEN = [[12, 56, 32], [52, 52, 52], [52, 76, 0]]
GOLDEN_HELD_OUT = [4, 20, 44, 48]


def _training(**given: Any) -> BpttSettings:
    return BpttSettings.model_validate(
        {"regime": "bptt", "batch_size": 3, "block_size": 4, "iterations": 1, "learning_rate": 1.0, **given}
    )


def _epoch(training: BpttSettings, epoch: int, seed: int = 0, n_tokens: int = 10_000) -> list[int]:
    """Starts of the windows with a positive weight in an epoch, in order."""
    sampler = WindowSampler(training, seed, n_tokens)
    per_epoch = training.steps_per_epoch
    assert per_epoch is not None
    starts = []
    for step in range(epoch * per_epoch, (epoch + 1) * per_epoch):
        starts_B, weights_B = sampler.batch(step)
        assert starts_B.shape == weights_B.shape == (training.batch_size,)
        assert float(weights_B.sum()) == pytest.approx(1)
        assert len(set(weights_B[weights_B > 0].tolist())) == 1
        starts += starts_B[weights_B > 0].tolist()
    return starts


@given(
    sampling=st.sampled_from(["stride-1", "non-overlapping"]),
    n_windows=st.integers(1, 60),
    batch_size=st.integers(1, 70),
    block_size=st.integers(1, 9),
    share=st.sampled_from([0.0, 0.2, 0.5]),
    after=st.integers(0, 10),
    seed=st.integers(0, 2**63 - 1),
)
def test_each_window_once_an_epoch_and_held_out_ones_never(
    sampling: str, n_windows: int, batch_size: int, block_size: int, share: float, after: int, seed: int
) -> None:
    if n_windows == round(share * n_windows):
        return
    training = _training(
        sampling=sampling,
        epoch_windows=n_windows,
        batch_size=batch_size,
        block_size=block_size,
        held_out_share=share,
        held_out_next=after,
    )
    need = training.train_tokens_needed
    stride = 1 if sampling == "stride-1" else block_size
    held_out = WindowSampler(training, seed, need).held_out().tolist()
    inside = [start for start in held_out if start < n_windows * stride]
    assert len(inside) == round(share * n_windows)
    assert [start for start in held_out if start not in inside] == [(n_windows + i) * stride for i in range(after)]
    for epoch in range(3):
        starts = _epoch(training, epoch, seed, need)
        assert Counter(starts) == Counter({i * stride: 1 for i in range(n_windows)}) - Counter(inside)
        assert max(starts + held_out) + training.span <= need
    with pytest.raises(CorpusError, match=f"has {need - 1:,} tokens, but its windows need {need:,}"):
        WindowSampler(training, seed, need - 1)


def test_epochs_and_seeds_are_shuffled_differently_and_a_step_is_a_pure_function() -> None:
    training = _training(sampling="stride-1", epoch_windows=50)
    orders = [_epoch(training, epoch, seed) for epoch in range(3) for seed in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert all(sorted(order) == list(range(50)) for order in orders)
    # The result for a step does not depend on the steps that the sampler was asked for before.
    sampler = WindowSampler(training, 1, 10_000)
    shuffled = {step: sampler.batch(step)[0].tolist() for step in (40, 3, 17, 3, 39)}
    state = torch.get_rng_state()
    for step, starts in shuffled.items():
        assert WindowSampler(training, 1, 10_000).batch(step)[0].tolist() == starts
    assert torch.equal(torch.get_rng_state(), state)


def test_golden_windows() -> None:
    """A change here changes every result: published runs could not be reproduced."""
    training = _training(sampling="non-overlapping", epoch_windows=20, held_out_share=0.2)
    sampler = WindowSampler(training, 0, 100)
    assert [sampler.batch(step)[0].tolist() for step in (0, 5, 6)] == GOLDEN
    assert sampler.held_out().tolist() == GOLDEN_HELD_OUT


def test_contiguous_rows_read_the_text_on_and_on() -> None:
    training = _training(sampling="contiguous", carry_state=True, epoch_windows=12)
    sampler = WindowSampler(training, 0, 49)
    rows = torch.stack([sampler.batch(step)[0] for step in range(8)], dim=1)
    stretches = [[0, 4, 8, 12], [16, 20, 24, 28], [32, 36, 40, 44]]
    assert rows.tolist() == [stretch * 2 for stretch in stretches]  # a second epoch like the first
    assert [sampler.begins_epoch(step) for step in range(9)] == [True, False, False, False] * 2 + [True]


def test_random_windows_lie_anywhere_and_differ_from_step_to_step() -> None:
    sampler = WindowSampler(_training(batch_size=400), 0, 50)
    first, second = sampler.batch(0)[0], sampler.batch(1)[0]
    assert set(first.tolist()) == set(range(50 - 5 + 1))
    assert not torch.equal(first, second)


def _plain_losses(config: Any, tokens: torch.Tensor, n_steps: int, vocabulary: int) -> list[float]:
    """The textbook model in float64 with torch.optim on the sampler's windows, without padding and cohort."""
    training = config.training
    own = {name: p.double().requires_grad_() for name, p in fresh_state(config, vocabulary).parameters.items()}
    optimizer = torch.optim.SGD(own.values(), lr=training.learning_rate)
    sampler = WindowSampler(training, config.seed, len(tokens))
    losses = []
    for step in range(n_steps):
        starts_B, weights_B = sampler.batch(step)
        windows = [tokens[start : start + training.span].long() for start in starts_B[weights_B > 0].tolist()]
        window_BW = torch.stack(windows)
        logits_TBV = textbook(config.model, own, window_BW[:, :-1].T)
        targets_TB = window_BW[:, 1:].T
        if training.loss_at == "last":
            logits_TBV, targets_TB = logits_TBV[-1:], targets_TB[-1:]
        loss = torch.nn.functional.cross_entropy(logits_TBV.flatten(0, 1), targets_TB.flatten())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("loss_at", ["every", "last"])
def test_training_on_batches_with_a_short_last_one_is_the_plain_loop(loss_at: str) -> None:
    model = settings_of("gru-reset-before", state_size=6, n_layers=1)
    config = bptt_config(
        model,
        sampling="stride-1",
        epoch_windows=12,
        held_out_next=4,
        epochs=3,
        optimizer="sgd",
        learning_rate=0.5,
        loss_at=loss_at,
        record_every=1,
    )
    vocabulary, tokens = 7, random_tokens(200) % 7
    cohort = Cohort([Member(config, fresh_state(config, vocabulary))], tokens, vocabulary, torch.device("cpu"))
    assert cohort.run_block(100, 1) == 9  # twelve windows, five a step: three steps an epoch
    (member,) = cohort.members()
    losses = _plain_losses(config, tokens, 9, vocabulary)
    average, expected = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average = 0.98 * average + 0.02 * loss
        expected.append(average / (1 - 0.98**step))
    # float32 against float64
    assert member.state.curve_ema_loss == pytest.approx(expected, abs=1e-5)
    assert member.state.epoch_loss == pytest.approx(sum(losses[-3:]) / 3, abs=1e-5)
    assert member.state.epoch_sum == 0.0
    # The final losses, window by window.
    splits = Splits(tokens[:100], tokens[100:150], tokens[150:])
    (final,) = final_losses([config], [member.state], splits, vocabulary, torch.device("cpu"), 1)
    own = {name: parameter.double() for name, parameter in member.state.parameters.items()}
    window_BW = torch.stack([tokens[start : start + 5].long() for start in (12, 13, 14, 15)])
    logits_TBV, targets_TB = textbook(model, own, window_BW[:, :-1].T), window_BW[:, 1:].T
    if loss_at == "last":
        logits_TBV, targets_TB = logits_TBV[-1:], targets_TB[-1:]
    held_out_loss = torch.nn.functional.cross_entropy(logits_TBV.flatten(0, 1), targets_TB.flatten())
    assert final["held_out"] == pytest.approx(held_out_loss.item(), abs=1e-6)


def test_a_carried_state_equals_one_long_window_and_begins_anew_with_the_epoch() -> None:
    """With a tiny learning rate, losses of windows with a carried state are those of the uncut parts of the text."""
    model = settings_of("lstm", state_size=6, n_layers=2, start_state="learned")
    config = bptt_config(
        model,
        sampling="contiguous",
        carry_state=True,
        epoch_windows=15,
        epochs=2,
        optimizer="sgd",
        learning_rate=1e-12,
        record_every=1,
    )
    vocabulary, tokens = 7, random_tokens(200) % 7
    cohort = Cohort([Member(config, fresh_state(config, vocabulary))], tokens, vocabulary, torch.device("cpu"))
    cohort.run_block(100, 1)
    (member,) = cohort.members()
    own = {name: parameter.double() for name, parameter in fresh_state(config, vocabulary).parameters.items()}
    stretches_TB = torch.stack([tokens[row * 12 : row * 12 + 13].long() for row in range(5)], dim=1)
    logits_TBV = textbook(model, own, stretches_TB[:-1])
    losses_TB = torch.nn.functional.cross_entropy(
        logits_TBV.flatten(0, 1), stretches_TB[1:].flatten(), reduction="none"
    ).view(12, 5)
    per_window = [float(losses_TB[t : t + 4].mean()) for t in (0, 4, 8)]
    average, expected = 0.0, []
    for step, loss in enumerate(per_window * 2, start=1):
        average = 0.98 * average + 0.02 * loss
        expected.append(average / (1 - 0.98**step))
    assert member.state.curve_ema_loss == pytest.approx(expected, abs=1e-6)
    assert len({round(loss, 5) for loss in per_window}) == 3
