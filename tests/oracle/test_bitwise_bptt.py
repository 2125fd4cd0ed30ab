"""The bitwise contract over every cell and regime setting: same config, same bytes, however it is trained."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnlab.data.splits import Splits
from rnnlab.spec.cell_settings import RecurrentSettings
from rnnlab.spec.run_config import RunConfig, run_config_from_json
from rnnlab.training import checkpoint
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.evaluation.final_losses import final_losses
from rnnlab.training.run_state import fresh_state
from tests.support.cells import CELLS, settings_of
from tests.support.models import bptt_config, random_tokens

_CPU = torch.device("cpu")
_V = 97
_TOKENS = random_tokens(3_000) % _V

_TRAININGS: list[dict[str, Any]] = [
    {"sampling": "random", "optimizer": "adamw", "iterations": 4, "learning_rate": 1e-2},
    {
        "sampling": "contiguous",
        "carry_state": True,
        "epoch_windows": 10,
        "optimizer": "adam",
        "epochs": 2,
        "learning_rate": 1e-2,
        "clip_norm": 0.5,
    },
    {"sampling": "stride-1", "epoch_windows": 13, "held_out_next": 7, "optimizer": "sgd", "schedule": "1@0.5,1@0.1"},
    {
        "sampling": "non-overlapping",
        "epoch_windows": 17,
        "held_out_share": 0.2,
        "loss_at": "last",
        "batch_size": 8,
        "epochs": 2,
        "learning_rate": 1e-2,
        "weight_decay": 0.1,
    },
]


@pytest.fixture(autouse=True)
def _threads(arithmetic: str) -> Iterator[None]:
    """Run every test with the native kernels and with torch, and restore the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _fresh(config: RunConfig) -> Member:
    return Member(config, fresh_state(config, _V))


def _train(members: list[Member], threads: int, block: int) -> dict[str, bytes]:
    """Train to the end in blocks; finished members leave the cohort. Config hash -> checkpoint bytes."""
    ended = {}
    while members:
        cohort = Cohort(members, _TOKENS, _V, _CPU)
        while not cohort.any_finished:
            cohort.run_block(block, threads)
        members = cohort.members()
        for member in members:
            if member.state.is_finished(member.config):
                ended[member.config.hash] = checkpoint.encode(member.config, member.state)
        members = [member for member in members if not member.state.is_finished(member.config)]
    return ended


def _group(model: RecurrentSettings, training: dict[str, Any], n: int) -> list[RunConfig]:
    """Runs that differ in everything in which members may differ: seeds, rates, decay, clipping, length, intervals."""
    configs = []
    for seed in range(n):
        free = {
            "clip_norm": [0.0, 0.3][seed % 2],
            "weight_decay": [0.0, 0.05, 0.1][seed % 3],
            "record_every": 1 + seed % 4,
        }
        if "schedule" in training:
            free["schedule"] = [training["schedule"], "2@0.2", "1@1,2@0.1"][seed % 3]
        else:
            length = "iterations" if "iterations" in training else "epochs"
            free |= {length: training[length] + seed % 2, "learning_rate": [1e-2, 3e-3][seed % 2]}
        model = model.model_copy(update={"weight_init": ["torch", "normal"][seed % 5 == 4]})
        configs.append(bptt_config(model, seed=seed, **{**training, **free}))
    assert len({config.group_key for config in configs}) == 1
    return configs


@pytest.mark.parametrize("training", _TRAININGS, ids=lambda one: one["sampling"])
@pytest.mark.parametrize("model", CELLS, ids=lambda one: f"{one.cell}-S{one.state_size}")
def test_alone_in_any_cohort_with_any_threads_blocks_and_cuts(
    model: RecurrentSettings, training: dict[str, Any]
) -> None:
    configs = _group(model, training, 16)
    reference = _train(list(map(_fresh, configs)), threads=1, block=1000)
    assert len(set(reference.values())) == 16
    shuffle = random.Random(model.state_size)
    for size, threads, block in ((1, 1, 3), (2, 2, 1000), (3, 3, 2), (16, 2, 4)):
        chosen = shuffle.sample(configs, size)
        for config_hash, data in _train(list(map(_fresh, chosen)), threads, block).items():
            assert data == reference[config_hash], f"cohort of {size}, {threads} threads"
    # Stopped in the middle, and resumed from bytes together with runs at other steps.
    mine = configs[shuffle.randrange(16)]
    cohort = Cohort([_fresh(mine), _fresh(configs[0])], _TOKENS, _V, _CPU)
    cohort.run_block(shuffle.randrange(1, 4), 2)
    resumed = Member(mine, checkpoint.decode(checkpoint.encode(mine, cohort.members()[0].state), "test").state)
    assert _train([_fresh(configs[-1]), resumed], 2, 4)[mine.hash] == reference[mine.hash]
    # The bits of the final losses do not depend on the cohort. The training split is long enough for all windows.
    states = [checkpoint.decode(reference[config.hash], "test").state for config in configs[:3]]
    splits = Splits(_TOKENS[:2_000], _TOKENS[2_000:2_500], _TOKENS[2_500:])
    together = final_losses(configs[:3], states, splits, _V, _CPU, 3)
    assert final_losses(configs[1:2], states[1:2], splits, _V, _CPU, 2) == together[1:2]
    assert {"training", "validation", "test"} <= together[0].keys()
    assert ("held_out" in together[0]) == any(name.startswith("held_out") for name in training)


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_cell_without_a_scan_that_carries_a_learned_start_state_may_be_cut(
    cell: str, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one row the expanded start state is not a copy: it must not become the carried state."""
    monkeypatch.setattr("rnnlab.training.bptt_regime.SCANS", {})
    monkeypatch.setattr("rnnlab.training.engines.native_engine.SCANS", {})
    training: dict[str, Any] = {"sampling": "contiguous", "carry_state": True, "epoch_windows": 12 * batch_size}
    config = bptt_config(
        settings_of(cell, state_size=6, start_state="learned"),
        batch_size=batch_size,
        learning_rate=0.1,
        epochs=1,
        **training,
    )
    cohort = Cohort([_fresh(config)], _TOKENS, _V, _CPU)
    assert not cohort.is_native
    cohort.run_block(5, 1)
    (cut,) = cohort.members()
    assert _train([cut], 1, 1000) == _train([_fresh(config)], 1, 1000)


def test_a_longer_run_begins_with_the_bits_of_a_shorter_one() -> None:
    """`extend` relies on this, also over the end of an epoch."""
    for training in _TRAININGS[:2] + _TRAININGS[3:]:
        short = bptt_config(CELLS[0], **training)
        name = short.training.duration_name
        long = short.with_settings({name: training[name] + 2})
        assert short.is_beginning_of(long)
        assert not long.is_beginning_of(short)
        begun = checkpoint.decode(_train([_fresh(short)], 1, 1000)[short.hash], "test").state
        assert _train([Member(long, begun)], 1, 3)[long.hash] == _train([_fresh(long)], 1, 1000)[long.hash]
    scheduled = bptt_config(CELLS[0], **_TRAININGS[2])
    assert not scheduled.is_beginning_of(scheduled.with_settings({"schedule": "1@0.5,2@0.1"}))


def test_a_diverged_neighbor_changes_nothing() -> None:
    healthy, sick = (bptt_config(CELLS[5], seed=seed, **_TRAININGS[0]) for seed in (0, 1))
    reference = _train([_fresh(healthy)], 1, 1000)[healthy.hash]
    state = fresh_state(sick, _V)
    state.parameters["head.bias"][3] = float("nan")
    cohort = Cohort([Member(sick, state), _fresh(healthy)], _TOKENS, _V, _CPU)
    cohort.run_block(1000, 1)
    ended, other = cohort.members()
    assert ended.state.diverged_at_step == 1
    assert checkpoint.encode(healthy, other.state) == reference


def test_a_checkpoint_of_version_1_is_read_and_written_again_with_the_same_bytes() -> None:
    """The file is from a version without the BPTT regime."""
    data = (Path(__file__).parent / "data" / "gated-version-1.rnn").read_bytes()
    found = checkpoint.decode(data, "test")
    assert found.state.step == 13
    assert (found.state.epoch_sum, found.state.epoch_loss) == (0.0, None)
    assert checkpoint.encode(run_config_from_json(found.config_json), found.state) == data


def test_epoch_averages_of_a_stopped_run_are_in_its_checkpoint() -> None:
    config = bptt_config(CELLS[0], **_TRAININGS[2])
    cohort = Cohort([_fresh(config)], _TOKENS, _V, _CPU)
    cohort.run_block(4, 1)
    (member,) = cohort.members()
    assert member.state.epoch_sum > 0
    assert member.state.epoch_loss is not None
    assert member.state.first_moments == member.state.second_moments == {}
    again = checkpoint.decode(checkpoint.encode(config, member.state), "test").state
    assert (again.epoch_sum, again.epoch_loss) == (member.state.epoch_sum, member.state.epoch_loss)
    assert again.hidden_LBS.shape == (0, 5, 33)
