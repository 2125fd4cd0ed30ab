"""The cohort's optimizers and clipping against torch.optim and torch.nn.utils, in float64."""

from typing import Any

import pytest
import torch
from torch import nn

from rnnlab.models.model_subset import ModelSubset
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.training.optimizer import CohortOptimizer

_TOLERANCE = 1e-12
_CPU = torch.device("cpu")
_RATES, _DECAYS, _CLIPS = [1e-3, 3e-2, 0.5, 0.1], [0.01, 0.0, 0.1, 0.3], [0.0, 1.0, 0.05, 1e6]
_OPTIMIZERS: dict[str, Any] = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def _training(kind: str, m: int, schedule: str) -> BpttSettings:
    return BpttSettings.model_validate(
        {
            "regime": "bptt",
            "batch_size": 4,
            "block_size": 3,
            "sampling": "stride-1",
            "epoch_windows": 40,  # ten steps an epoch
            "optimizer": kind,
            "weight_decay": _DECAYS[m],
            "clip_norm": _CLIPS[m],
            **({"schedule": schedule} if schedule else {"epochs": 10, "learning_rate": _RATES[m]}),
        }
    )


@pytest.mark.parametrize("schedule", ["", "2@1e-1,3@3e-3,5@1e-2"], ids=["a rate each", "schedule"])
@pytest.mark.parametrize("kind", _OPTIMIZERS)
def test_100_steps_equal_torch_optim_with_clipping_decay_and_rates_of_each_model(kind: str, schedule: str) -> None:
    torch.manual_seed(0)
    # 16 numbers a model: neighbors are updated as one tensor if possible; 20 and 5: each model separately
    start = {name: torch.randn(4, 4, n, dtype=torch.float64) for name, n in (("v", 4), ("w", 5))}
    start["b"] = torch.randn(3, 5, dtype=torch.float64)
    subsets = {name: ModelSubset([0, 1, 2, 3], 4, _CPU) for name in ("v", "w")} | {"b": ModelSubset([0, 2, 3], 4, _CPU)}
    trainings = [_training(kind, m, schedule) for m in range(4)]
    plain = [
        {
            name: nn.Parameter(start[name][subsets[name].members.index(m)].clone())
            for name in start
            if m in subsets[name].members
        }
        for m in range(4)
    ]
    optimizers = [_OPTIMIZERS[kind](own.values(), lr=_RATES[m], weight_decay=_DECAYS[m]) for m, own in enumerate(plain)]
    parameters = {name: value.clone() for name, value in start.items()}
    moments = [{} if kind == "sgd" else {n: torch.zeros_like(v) for n, v in start.items()} for _ in range(2)]
    buffers = {name: torch.zeros_like(value) for name, value in start.items()}
    mine = CohortOptimizer(parameters, buffers, subsets, moments[0], moments[1], trainings)
    clipped = 0
    for step in range(100):
        if step % 7 == 0:  # blocks of seven steps
            mine.plan([step] * 4, 7)
        gradients = {name: torch.randn_like(value) * 0.3 for name, value in start.items()}
        for name, buffer in buffers.items():
            buffer.copy_(gradients[name])
        mine.update(step % 7)
        for m, own in enumerate(plain):
            for name, parameter in own.items():
                parameter.grad = gradients[name][subsets[name].members.index(m)].clone()
            if _CLIPS[m]:
                clipped += bool(nn.utils.clip_grad_norm_(own.values(), _CLIPS[m]) > _CLIPS[m])
            rate = _RATES[m] if not schedule else 0.1 if step < 20 else 3e-3 if step < 50 else 1e-2
            optimizers[m].param_groups[0]["lr"] = rate
            optimizers[m].step()
    assert 100 < clipped < 300  # some are clipped, others are not
    for m, own in enumerate(plain):
        for name, parameter in own.items():
            ours = parameters[name][subsets[name].members.index(m)]
            assert (ours - start[name][subsets[name].members.index(m)]).abs().max().item() > 1e-3
            assert (ours - parameter.detach()).abs().max().item() <= _TOLERANCE, (m, name)


@pytest.mark.parametrize("kind", _OPTIMIZERS)
def test_a_model_without_clipping_and_decay_keeps_its_bits_next_to_one_with_them(kind: str) -> None:
    torch.manual_seed(1)
    start, gradients = torch.randn(2, 3, 5), torch.randn(6, 2, 3, 5)
    ends = []
    for members in ([1], [1, 2]):  # model 1 has no decay; it is trained without clipping here
        training = [_training(kind, m, "").model_copy(update={"clip_norm": 0.0 if m == 1 else 0.1}) for m in members]
        parameters = {"w": start[: len(members)].clone()}
        moments = [{} if kind == "sgd" else {"w": torch.zeros_like(parameters["w"])} for _ in range(2)]
        subsets = {"w": ModelSubset(list(range(len(members))), len(members), _CPU)}
        buffers = {"w": torch.zeros_like(parameters["w"])}
        mine = CohortOptimizer(parameters, buffers, subsets, moments[0], moments[1], training)
        mine.plan([0] * len(members), 6)
        for k in range(6):
            buffers["w"].copy_(gradients[k, : len(members)])
            mine.update(k)
        ends.append(parameters["w"][0])
    assert torch.equal(ends[0], ends[1])


@pytest.mark.parametrize("size", [(4, 8), (3, 5)], ids=["updated together", "one by one"])
def test_models_of_one_cohort_may_have_done_different_numbers_of_steps(size: tuple[int, int]) -> None:
    """As after a change of members: each model has the bias correction of its own step count."""
    torch.manual_seed(2)
    late = [0, 0, 7, 40]
    start = torch.randn(4, *size, dtype=torch.float64)
    plain = [nn.Parameter(start[m].clone()) for m in range(4)]
    optimizers = [torch.optim.Adam([parameter], lr=0.1) for parameter in plain]
    parameters, first, second = ({"w": tensor} for tensor in (start.clone(), start * 0, start * 0))
    for step in range(100):
        gradient = torch.randn_like(start)
        born = [m for m in range(4) if step >= late[m]]
        training = [_training("adam", 3, "").model_copy(update={"clip_norm": 0.0, "weight_decay": 0.0}) for _ in born]
        rows = {"w": parameters["w"][: len(born)]}
        mine = CohortOptimizer(
            rows,
            {"w": gradient[: len(born)].clone()},
            {"w": ModelSubset(born, len(born), _CPU)},
            {"w": first["w"][: len(born)]},
            {"w": second["w"][: len(born)]},
            training,
        )
        mine.plan([step - late[m] for m in born], 1)
        mine.update(0)
        for m in born:
            plain[m].grad = gradient[m].clone()
            optimizers[m].step()
    for m in range(4):
        assert (parameters["w"][m] - plain[m].detach()).abs().max().item() <= _TOLERANCE
