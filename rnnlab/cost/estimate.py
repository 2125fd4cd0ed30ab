"""How long and how large an experiment will be on this machine, measured with a few steps of each group."""

import math
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

import torch

from rnnlab.models.factory import count_parameters
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort_size.heuristic import step_flops, symbols_per_step
from rnnlab.training.cohort_size.measured_sizes import default_path
from rnnlab.training.cohort_size.throughput import model_steps_per_second
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import Workbench

_BYTES = 4  # float32
_MEASURED_SECONDS = 0.5  # a group
# Two of the dynamics grid are up to 17 % off the mean cost of their group, four 1 % (counted by benchmarks.gate_work).
_LEAST_SAMPLE = 4

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """What a set of runs will cost."""

    seconds: float  # of one core, or of the GPU
    disk_bytes: int  # final checkpoints
    smallest_parameters: int
    largest_parameters: int
    groups: int
    measured: int  # of the groups; the others are derived from the nearest of these


@dataclass(frozen=True)
class GroupRate:
    """How fast one process trains the runs of a group."""

    models: int  # trained at once
    model_steps_per_second: float  # optimiser steps of all of them, on one thread where it is a CPU
    measured: bool  # else derived from the nearest group that was


def estimate(
    configs: Sequence[RunConfig], device: torch.device, vocabulary: str | None = None, seconds: float = math.inf
) -> Estimate:
    """Train the beginning of one cohort of each group, as far as about `seconds` suffice, and extrapolate.

    Writes nothing. `vocabulary`: what their tokenizer learned, if anything.

    Raises CorpusError if the text is not here or too short.
    """
    bench = workbench(device, vocabulary)
    groups = by_group(configs)
    rates = group_rates(bench, groups, CohortSizes(bench, default_path()).unmeasured, seconds)
    vocabulary_size = bench.text(configs[0])[1].vocabulary_size
    counts = [count_parameters(config.model, vocabulary_size) for config in configs]
    return Estimate(
        seconds=sum(training_seconds(group, rates[key]) for key, group in groups.items()),
        disk_bytes=sum(count * _copies(config) for count, config in zip(counts, configs, strict=True)) * _BYTES,
        smallest_parameters=min(counts),
        largest_parameters=max(counts),
        groups=len(groups),
        measured=sum(rate.measured for rate in rates.values()),
    )


def workbench(device: torch.device, vocabulary: str | None) -> Workbench:
    """A workbench for runs whose tokenizer learned `vocabulary`, if anything."""
    bench = Workbench(device)
    if vocabulary is not None:
        bench.keep_vocabulary(vocabulary)
    return bench


def by_group(configs: Sequence[RunConfig]) -> dict[str, list[RunConfig]]:
    """The configs by their group keys."""
    groups: dict[str, list[RunConfig]] = defaultdict(list)
    for config in configs:
        groups[config.group_key].append(config)
    return dict(groups)


def training_seconds(configs: Sequence[RunConfig], rate: GroupRate) -> float:
    """Time that one process needs to train these runs of one group."""
    return sum(config.target_steps for config in configs) / rate.model_steps_per_second


def group_rates(
    bench: Workbench,
    groups: dict[_Key, list[RunConfig]],
    size_for: Callable[[RunConfig], int],
    seconds: float = math.inf,
) -> dict[_Key, GroupRate]:
    """How fast runs of one group each train in cohorts of `size_for`; measured, as far as about `seconds` suffice.

    The groups that are measured first have the most work, and are as different as can be. The others are taken to make
    as many operations a second as the nearest of them.

    Raises CorpusError if the text is not here or too short.
    """
    until = time.monotonic() + seconds
    flops = {key: _step_flops(bench, group) for key, group in groups.items()}
    step = {key: fmean(flops[key]) for key in groups}
    waiting = sorted(groups, key=lambda key: -step[key] * sum(config.target_steps for config in groups[key]))
    # How far the measured group is that is most alike, and which it is; before there is one, any.
    nearest = dict.fromkeys(groups, (math.inf, waiting[0]))
    rates: dict[_Key, GroupRate] = {}
    while waiting and (not rates or time.monotonic() < until):
        key = max(waiting, key=lambda key: nearest[key][0])
        waiting.remove(key)
        models = min(len(groups[key]), size_for(groups[key][0]))
        sample = _sample(groups[key], flops[key], max(models, _LEAST_SAMPLE))
        # One thread: where other programs keep a core busy, a second thread waits for it and makes the work many times
        # slower, and the estimate useless.
        rate = model_steps_per_second(bench, sample, seconds=_MEASURED_SECONDS, max_threads=1)
        rates[key] = GroupRate(models, rate, measured=True)
        for other in waiting:
            apart = _distance(groups[key][0], groups[other][0]) + abs(math.log(step[key] / step[other]))
            if apart < nearest[other][0]:
                nearest[other] = apart, key
    for key in waiting:
        known = rates[nearest[key][1]]
        speed = known.model_steps_per_second * step[nearest[key][1]] / step[key]
        rates[key] = GroupRate(min(len(groups[key]), known.models), speed, measured=False)
    return rates


def _copies(config: RunConfig) -> int:
    """A checkpoint holds the weights, and Adam's two moments."""
    return 1 if config.training.optimizer == "sgd" else 3


def _distance(one: RunConfig, other: RunConfig) -> float:
    """How much a step of these two differs in what it does: small where one can be told from the other."""
    if (one.model.cell, one.training.regime) != (other.model.cell, other.training.regime):
        return 100.0
    return sum(abs(math.log(x / y)) for x, y in zip(_sizes(one), _sizes(other), strict=True))


def _sizes(config: RunConfig) -> tuple[int, int, int]:
    return config.model.state_size, config.training.batch_size, symbols_per_step(config)


def _step_flops(bench: Workbench, group: Sequence[RunConfig]) -> list[float]:
    """Floating-point operations of an optimiser step of each."""
    vocabulary_size = bench.text(group[0])[1].vocabulary_size
    return [step_flops(config, vocabulary_size) for config in group]


def _sample(group: Sequence[RunConfig], flops: Sequence[float], size: int) -> list[RunConfig]:
    """`size` members, or all, whose steps cost on average what those of the group do: evenly from cheap to costly."""
    by_cost = [config for _, config in sorted(zip(flops, group, strict=True), key=lambda pair: pair[0])]
    size = min(size, len(by_cost))
    return [by_cost[(2 * i + 1) * len(by_cost) // (2 * size)] for i in range(size)]
