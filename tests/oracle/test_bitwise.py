"""The bitwise contract: the same config gives the same bytes, however it is trained."""

import random
from collections.abc import Iterator

import pytest
import torch

from rnnlab.data.splits import Splits
from rnnlab.spec.run_config import RunConfig
from rnnlab.training import checkpoint
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.evaluation.final_losses import final_losses
from rnnlab.training.run_state import fresh_state
from tests.support.models import VOCABULARY, all_gate_settings, random_tokens, residual_only, run_config

_CPU = torch.device("cpu")
_TOKENS = random_tokens(20_000)


@pytest.fixture(autouse=True)
def _threads(arithmetic: str) -> Iterator[None]:
    """Run every test with the native kernels and with torch, and restore the number of threads."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def _train(members: list[Member], threads: int, block: int) -> dict[str, bytes]:
    """Train to the end in blocks; finished members leave the cohort. Config hash -> checkpoint bytes."""
    ended = {}
    while members:
        cohort = Cohort(members, _TOKENS, VOCABULARY, _CPU)
        while not cohort.any_finished:
            cohort.run_block(block, threads)
        members = cohort.members()
        for member in members:
            if member.state.is_finished(member.config):
                ended[member.config.hash] = checkpoint.encode(member.config, member.state)
        members = [member for member in members if not member.state.is_finished(member.config)]
    return ended


def _fresh(config: RunConfig) -> Member:
    return Member(config, fresh_state(config, VOCABULARY))


@pytest.mark.parametrize(
    ("state_size", "batch_size"), [(32, 16), (33, 7), (40, 12), (5, 3), (1, 1)], ids=lambda value: str(value)
)
def test_alone_or_in_any_cohort_with_any_number_of_threads(state_size: int, batch_size: int) -> None:
    configs = [
        run_config(model, seed=seed, batch_size=batch_size, windows=1 + seed % 2, learning_rate=[1e-3, 1e-2][seed % 2])
        for seed, model in enumerate(all_gate_settings(2, state_size))
    ]
    shuffle = random.Random(state_size * 100 + batch_size)
    reference = _train([_fresh(config) for config in configs], threads=1, block=1000)
    assert len(set(reference.values())) == len(configs) == 96
    for threads in (1, 2, 3):
        for size in (1, 2, 3, 16):
            chosen = shuffle.sample(configs, size)
            for config_hash, data in _train([_fresh(config) for config in chosen], threads, block=17).items():
                assert data == reference[config_hash], f"cohort of {size}, {threads} threads"


def test_models_that_see_only_their_input_change_nothing_for_others() -> None:
    """Some members lack whole parts of a step, which must not affect how the others are computed."""
    odd = residual_only(2, 8)
    assert len(odd) == 16
    configs = [run_config(model, seed=m, batch_size=5) for m, model in enumerate([*odd, *all_gate_settings(2, 8)[::7]])]
    reference = {name: data for config in configs for name, data in _train([_fresh(config)], 1, 1000).items()}
    assert _train([_fresh(config) for config in configs], 2, 17) == reference


def test_one_config_alone_in_cohorts_of_3_and_16_with_1_and_2_threads() -> None:
    models = all_gate_settings(1, 32)
    configs = [run_config(model, seed=seed, batch_size=32) for seed, model in enumerate(models)]
    mine = configs[77]
    others = random.Random(0).sample([config for config in configs if config is not mine], 15)
    outcomes = set()
    for threads in (1, 2):
        for neighbors in ([], others[:2], others):
            outcomes.add(_train([*map(_fresh, [*neighbors[:1], mine, *neighbors[1:]])], threads, 1000)[mine.hash])
    assert len(outcomes) == 1


@pytest.mark.parametrize("cut", [1, 13, 40, 41, 79])
def test_stopped_anywhere_and_resumed_from_bytes_among_others(cut: int) -> None:
    models = all_gate_settings(2, 9)
    configs = [run_config(model, seed=seed, batch_size=5) for seed, model in enumerate(models[::7])]
    reference = _train([_fresh(config) for config in configs], threads=1, block=1000)
    mine = configs[3]
    cohort = Cohort([_fresh(mine), _fresh(configs[0])], _TOKENS, VOCABULARY, _CPU)
    cohort.run_block(cut, 2)
    written = checkpoint.encode(mine, cohort.members()[0].state)
    resumed = Member(mine, checkpoint.decode(written, "test").state)
    for data in (
        _train([resumed], 1, 1000)[mine.hash],
        _train([_fresh(configs[5]), resumed, _fresh(configs[6])], 2, 7)[mine.hash],
    ):
        assert data == reference[mine.hash]


def test_held_out_losses_do_not_depend_on_the_cohort() -> None:
    configs = [run_config(model, seed=seed, batch_size=5) for seed, model in enumerate(all_gate_settings(1, 7)[::9])]
    states = [fresh_state(config, VOCABULARY) for config in configs]
    splits = Splits(_TOKENS[:10_000], _TOKENS[10_000:15_000], _TOKENS[15_000:])
    together = final_losses(configs, states, splits, VOCABULARY, _CPU, 2)
    for config, state, expected in zip(configs, states, together, strict=True):
        assert final_losses([config], [state], splits, VOCABULARY, _CPU, 2) == [expected]


def test_a_diverged_neighbor_changes_nothing_and_ends_with_its_curve() -> None:
    models = all_gate_settings(1, 8)
    healthy, sick = run_config(models[5]), run_config(models[50], seed=1)
    reference = _train([_fresh(healthy)], 1, 1000)[healthy.hash]
    state = fresh_state(sick, VOCABULARY)
    state.parameters["head.bias"][3] = float("nan")
    cohort = Cohort([Member(sick, state), _fresh(healthy)], _TOKENS, VOCABULARY, _CPU)
    cohort.run_block(1000, 1)
    ended, other = cohort.members()
    assert ended.state.diverged_at_step == 1
    assert ended.state.curve_steps == []
    assert checkpoint.encode(healthy, other.state) == reference
