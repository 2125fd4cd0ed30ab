"""Estimates the time and disk space of an experiment on this machine, from a few measured steps of each group."""

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
from rnnlab.training.cohort_size.measured_sizes import default_path
from rnnlab.training.cohort_size.throughput import model_steps_per_second
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import TrainingContext
from rnnlab.training.resources import step_flops, symbols_per_step

_BYTES = 4  # float32
_MEASURED_SECONDS = 0.5  # per group
# In the dynamics grid, the mean cost of 2 members is up to 17 % off that of their group, the mean of 4 members 1 %
# (counted by benchmarks.gate_work).
_MIN_SAMPLE = 4

_Key = TypeVar("_Key", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """The estimated cost of a set of runs."""

    seconds: float  # on one core, or on the GPU
    disk_bytes: int  # size of the final checkpoints
    smallest_parameters: int
    largest_parameters: int
    groups: int
    measured: int  # number of measured groups; the rates of the others are derived from the most similar ones


@dataclass(frozen=True)
class GroupRate:
    """The speed at which one process trains the runs of a group."""

    models: int  # models trained at once
    model_steps_per_second: float  # optimizer steps of all models; on a CPU, with one thread
    measured: bool  # False: derived from the most similar measured group


def estimate(
    configs: Sequence[RunConfig], device: torch.device, vocabulary: str | None = None, seconds: float = math.inf
) -> Estimate:
    """Train the first steps of one cohort per group, for about `seconds` in total, and extrapolate.

    Writes nothing. vocabulary: the learned vocabulary of the tokenizer, if any.

    Raises CorpusError if the text is missing or too short.
    """
    context = training_context(device, vocabulary)
    groups = by_group(configs)
    rates = group_rates(context, groups, CohortSizes(context, default_path()).unmeasured, seconds)
    vocabulary_size = context.text(configs[0])[1].vocabulary_size
    counts = [count_parameters(config.model, vocabulary_size) for config in configs]
    return Estimate(
        seconds=sum(training_seconds(group, rates[key]) for key, group in groups.items()),
        disk_bytes=sum(count * _copies(config) for count, config in zip(counts, configs, strict=True)) * _BYTES,
        smallest_parameters=min(counts),
        largest_parameters=max(counts),
        groups=len(groups),
        measured=sum(rate.measured for rate in rates.values()),
    )


def training_context(device: torch.device, vocabulary: str | None) -> TrainingContext:
    """A training context for runs. vocabulary: the learned vocabulary of their tokenizer, if any."""
    context = TrainingContext(device)
    if vocabulary is not None:
        context.keep_vocabulary(vocabulary)
    return context


def by_group(configs: Sequence[RunConfig]) -> dict[str, list[RunConfig]]:
    """The configs by group key."""
    groups: dict[str, list[RunConfig]] = defaultdict(list)
    for config in configs:
        groups[config.group_key].append(config)
    return dict(groups)


def training_seconds(configs: Sequence[RunConfig], rate: GroupRate) -> float:
    """Seconds that one process needs to train these runs of one group."""
    return sum(config.target_steps for config in configs) / rate.model_steps_per_second


def group_rates(
    context: TrainingContext,
    groups: dict[_Key, list[RunConfig]],
    size_for: Callable[[RunConfig], int],
    seconds: float = math.inf,
) -> dict[_Key, GroupRate]:
    """Measure the training speed of each group, in cohorts of `size_for`, for about `seconds` in total.

    The group with the most work is measured first, then always the group least similar to the measured ones. A group
    that is not measured is assumed to reach the operations per second of the most similar measured group.

    Raises CorpusError if the text is missing or too short.
    """
    until = time.monotonic() + seconds
    flops = {key: _step_flops(context, group) for key, group in groups.items()}
    step = {key: fmean(flops[key]) for key in groups}
    waiting = sorted(groups, key=lambda key: -step[key] * sum(config.target_steps for config in groups[key]))
    # Group -> distance to the most similar measured group, and that group; before any is measured, an arbitrary one.
    nearest = dict.fromkeys(groups, (math.inf, waiting[0]))
    rates: dict[_Key, GroupRate] = {}
    while waiting and (not rates or time.monotonic() < until):
        key = max(waiting, key=lambda key: nearest[key][0])
        waiting.remove(key)
        models = min(len(groups[key]), size_for(groups[key][0]))
        sample = _sample(groups[key], flops[key], max(models, _MIN_SAMPLE))
        # One thread: if other programs occupy a core, a second thread waits for that core, which makes the work many
        # times slower and the estimate useless.
        rate = model_steps_per_second(context, sample, seconds=_MEASURED_SECONDS, max_threads=1)
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
    """Numbers per parameter in a checkpoint: the weight, and with Adam also two moments."""
    return 1 if config.training.optimizer == "sgd" else 3


def _distance(one: RunConfig, other: RunConfig) -> float:
    """A measure of how different the training steps are. Small if the speed of one predicts that of the other."""
    if (one.model.cell, one.training.regime) != (other.model.cell, other.training.regime):
        return 100.0
    return sum(abs(math.log(x / y)) for x, y in zip(_sizes(one), _sizes(other), strict=True))


def _sizes(config: RunConfig) -> tuple[int, int, int]:
    return config.model.state_size, config.training.batch_size, symbols_per_step(config)


def _step_flops(context: TrainingContext, group: Sequence[RunConfig]) -> list[float]:
    """Floating-point operations of an optimizer step of each config."""
    vocabulary_size = context.text(group[0])[1].vocabulary_size
    return [step_flops(config, vocabulary_size) for config in group]


def _sample(group: Sequence[RunConfig], flops: Sequence[float], size: int) -> list[RunConfig]:
    """At most `size` members whose mean cost per step is close to that of the group: evenly spaced by cost."""
    by_cost = [config for _, config in sorted(zip(flops, group, strict=True), key=lambda pair: pair[0])]
    size = min(size, len(by_cost))
    return [by_cost[(2 * i + 1) * len(by_cost) // (2 * size)] for i in range(size)]
