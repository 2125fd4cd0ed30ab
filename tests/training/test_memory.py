"""The tensors that a cohort keeps alive."""

import gc
import weakref

import pytest
import torch

from rnnlab.spec.cell_settings import GatedSettings, PlainSettings
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.run_state import fresh_state
from tests.support.models import VOCABULARY, bptt_config, random_tokens, run_config

CONFIGS = {
    "online": run_config(GatedSettings(n_layers=1, state_size=4, use_forget_gate=True)),
    "bptt": bptt_config(
        PlainSettings(cell="gru-reset-only", state_size=4), learning_rate=1e-3, iterations=20, optimizer="adam"
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_tensors_of_the_members_are_not_kept(config: RunConfig) -> None:
    """A second set of all weights and moments would take more memory than the activations of most cohorts."""
    members = [Member(config.with_settings({"seed": seed}), fresh_state(config, VOCABULARY)) for seed in (0, 1)]
    tensors = [
        weakref.ref(tensor)
        for member in members
        for kind in (member.state.parameters, member.state.first_moments, member.state.second_moments)
        for tensor in kind.values()
    ]
    cohort = Cohort(members, random_tokens(500), VOCABULARY, torch.device("cpu"))
    members.clear()
    gc.collect()
    assert tensors and all(tensor() is None for tensor in tensors)
    cohort.run_block(3, max_threads=1)
    assert [member.state.step for member in cohort.members()] == [3, 3]
