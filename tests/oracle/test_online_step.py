"""The step of the online regime: the layout of its tensors, the order of its models, and its allocations."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gate_work import needed_flops, observed_flops
from rnnlab.models.gated.gated_cohort import GatedCohort, gate_order, parameter_shapes
from rnnlab.models.gated.online_step import OnlineStep
from rnnlab.models.initialization import initial_parameters
from rnnlab.models.model_subset import contiguous_ranges
from rnnlab.models.row_lookup import RowLookup
from rnnlab.models.step_inputs import load_inputs
from rnnlab.spec.cell_settings import GatedSettings
from tests.support.models import all_gate_settings

_B, _V = 6, 19
_CPU = torch.device("cpu")


def _cohort(members: Sequence[GatedSettings]) -> GatedCohort:
    parameters = [initial_parameters(parameter_shapes(one, _V), seed) for seed, one in enumerate(members)]
    return GatedCohort(members, parameters, _V, _CPU)


class _Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names of the operations whose result is a new tensor."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(result.alias_info is None for result in func._schema.returns):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_makes_no_tensors() -> None:
    members = all_gate_settings(2, 8)
    model = _cohort(members)
    gradients = {name: torch.zeros_like(parameter) for name, parameter in model.parameters.items()}
    step = OnlineStep(model, gradients, _B)
    ids_KMB, keep_KM = torch.zeros(1, len(members), _B, dtype=torch.int64), torch.ones(1, len(members))
    data = step.data(ids_KMB, ids_KMB, keep_KM)
    with _Allocations() as allocations:
        load_inputs(step.inputs, data, 0)
        step.run()
    assert allocations.found == []


def test_a_row_that_is_not_kept_starts_from_zero() -> None:
    members = all_gate_settings(1, 8)[40:43]
    model = _cohort(members)
    step = OnlineStep(model, {name: torch.zeros_like(value) for name, value in model.parameters.items()}, _B)
    ids_KMB = (torch.arange(3 * _B).view(3, _B) % _V).repeat(2, 1, 1)
    data = step.data(ids_KMB, ids_KMB, torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]))
    load_inputs(step.inputs, data, 0)
    step.run()
    from_zero = step.hidden[0].clone()
    load_inputs(step.inputs, data, 1)
    step.run()
    assert [torch.equal(mine, other) for mine, other in zip(step.hidden[0], from_zero, strict=True)] == [
        False,
        True,
        False,
    ]


def test_ranges_are_the_longest_of_neighbors_with_equal_keys() -> None:
    assert contiguous_ranges([]) == []
    assert contiguous_ranges([0, 1, 2, 5, 6, 8]) == [range(3), range(5, 7), range(8, 9)]
    assert contiguous_ranges([0, 1, 2, 5, 6], lambda m: m < 2) == [range(2), range(2, 3), range(5, 7)]


def _n_runs(members: Sequence[GatedSettings]) -> int:
    names = GatedSettings.free_in_cohort
    return sum(len(contiguous_ranges(m for m, one in enumerate(members) if getattr(one, name))) for name in names)


@pytest.mark.parametrize("size", [1, 2, 4, 16, 48])
def test_an_arrangement_has_fewer_runs_and_does_not_depend_on_the_order_given(size: int) -> None:
    chosen = random.Random(size).sample(all_gate_settings(1, 8), size)
    order = gate_order(chosen)
    assert sorted(order) == list(range(size))
    arranged = [chosen[m] for m in order]
    assert _n_runs(arranged) <= (_n_runs(chosen) if size < 16 else 0.75 * _n_runs(chosen))
    assert [chosen[::-1][m] for m in gate_order(chosen[::-1])] == arranged


def test_a_single_gate_is_one_run() -> None:
    members = [GatedSettings(n_layers=1, state_size=8, use_forget_gate=bool(m % 2)) for m in range(9)]
    assert [members[m].use_forget_gate for m in gate_order(members)] == [False] * 5 + [True] * 4


@pytest.mark.parametrize("n_layers", [1, 3])
def test_no_product_is_made_for_a_gate_or_a_source_that_a_model_lacks(n_layers: int) -> None:
    members = all_gate_settings(n_layers, 8)
    needed = [needed_flops(one, _B, _V) for one in members]
    assert [observed_flops([one], _B, _V) for one in members] == needed
    assert observed_flops(members, _B, _V) == sum(needed)


def test_the_gradient_of_a_table_is_the_same_by_sums_and_by_a_product_with_one_hot_vectors() -> None:
    ids_MB = torch.randint(0, 5, (3, 40))
    d_MNP, gradient_MVP = torch.randn(3, 40, 4, dtype=torch.float64), torch.empty(3, 5, 4, dtype=torch.float64)
    lookup = RowLookup(3, 5, 40, torch.device("cpu"))
    lookup.rows_MN.copy_(lookup.rows_of(ids_MB))
    lookup.scatter(d_MNP, out=gradient_MVP)
    one_hot_MBV = torch.nn.functional.one_hot(ids_MB, 5).double()
    torch.testing.assert_close(gradient_MVP, one_hot_MBV.transpose(1, 2) @ d_MNP, rtol=0, atol=1e-14)
