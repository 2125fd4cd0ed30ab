"""How many operations are spent on gates and sources that a model does not have, over the grid of an experiment.

    python -m benchmarks.gate_work [EXPERIMENT]

Cohorts are formed as by a worker. Each does one training step, and the FLOPs of its products are counted. The count is
compared with the FLOPs that its members need, computed from their settings.

Shapes: S state size, B batch rows, V vocabulary.
"""

import sys
from collections import defaultdict
from collections.abc import Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from rnnlab.models.gated.gated_cohort import GatedCohort, gate_order, parameter_shapes
from rnnlab.models.gated.online_step import OnlineStep
from rnnlab.models.initialization import initial_parameters
from rnnlab.spec.cell_settings import GatedSettings
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.library import find_experiment
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.settings import CorpusSettings
from rnnlab.training.cohort_size.default_size import default_cohort_size

_CPU = torch.device("cpu")
_VOCABULARY = 256


def observed_flops(members: Sequence[GatedSettings], batch_size: int, vocabulary_size: int) -> int:
    """FLOPs of the products of one training step of a cohort, as counted by torch while they run."""
    members = [members[m] for m in gate_order(members)]
    parameters = [initial_parameters(parameter_shapes(one, vocabulary_size), seed=0) for one in members]
    model = GatedCohort(members, parameters, vocabulary_size, _CPU)
    gradients = {name: torch.empty_like(parameter) for name, parameter in model.parameters.items()}
    step = OnlineStep(model, gradients, batch_size)
    with FlopCounterMode(display=False) as counter:
        step.run()
    return int(counter.get_total_flops())


def needed_flops(settings: GatedSettings, batch_size: int, vocabulary_size: int) -> int:
    """FLOPs of the products that one training step of one model needs.

    There is no product for the embedding (a gather and a sum by symbol), for a gradient that is zero, or for
    the gradient towards the old state, which is detached.
    """
    one, S = settings, settings.state_size
    n_sources = one.use_new_state + one.use_old_state + one.use_residual
    # Products of S x S: forward, gradients of weights, gradients towards inputs.
    output_maps = n_sources * (1 + one.use_output_gate) + one.use_output_gate
    state_maps = 2 + 3 * (one.use_state_gate + one.use_forget_gate)
    forward = 4 * one.use_input_gate + state_maps + output_maps
    top = forward + output_maps  # a layer that gets a gradient
    flowing = one.use_new_state + one.use_residual + (one.use_old_state and one.use_input_gate)
    top += flowing * (1 + one.use_output_gate) + one.use_output_gate
    if one.use_new_state:
        gates = one.use_state_gate + one.use_forget_gate
        top += state_maps + gates + (1 + gates) * (2 if one.use_input_gate else 1)
    if one.use_input_gate and (one.use_new_state or one.use_old_state):
        top += 4 + 2
    lower = top if flowing else forward
    products = top + (one.n_layers - 1) * lower
    return 2 * batch_size * S * (S * products + 3 * vocabulary_size)


def main(name: str) -> None:
    """Print one line for each group of the first round, and one line for all groups."""
    experiment = find_experiment(name)
    configs = enumerate_configs(experiment, CorpusSettings(name="none", sha256="0" * 64))
    groups: dict[str, list[RunConfig]] = defaultdict(list)
    for config in configs:
        groups[config.group_key].append(config)
    observed, needed, richest = [], [], []
    for group in groups.values():
        size, B = default_cohort_size(group[0], _CPU), group[0].training.batch_size
        members = [config.model for config in group if isinstance(config.model, GatedSettings)]
        cohorts = [members[start : start + size] for start in range(0, len(members), size)]
        everything = dict.fromkeys((name for name in GatedSettings.free_in_cohort), True)
        observed.append(sum(observed_flops(cohort, B, _VOCABULARY) for cohort in cohorts))
        needed.append(sum(needed_flops(one, B, _VOCABULARY) for one in members))
        richest.append(sum(needed_flops(one.model_copy(update=everything), B, _VOCABULARY) for one in members))
        L, S = members[0].n_layers, members[0].state_size
        what = f"{L} layers of {S}: {len(members)} models in {len(cohorts)} cohorts"
        print(_line(what, observed[-1], needed[-1], richest[-1]))
    print(_line("all", sum(observed), sum(needed), sum(richest)))


def _line(what: str, observed: int, needed: int, richest: int) -> str:
    wasted = (observed - needed) / observed
    return (
        f"{what:50} {observed / 1e9:8.2f} GFLOP per step, {wasted:6.2%} on parts that a model does not have "
        f"({(richest - needed) / richest:.0%} if every model had all gates and sources)"
    )


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["dynamics"]))
