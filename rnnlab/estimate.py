"""How long and how large an experiment will be on this machine, measured with a few steps of each group."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rnnlab.models.registry import count_parameters
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.run_state import fresh_state
from rnnlab.training.sizing import cohort_size
from rnnlab.training.workbench import Workbench

_BYTES = 4  # float32
_MEASURED_SECONDS = 0.5  # a group


@dataclass(frozen=True)
class Estimate:
    """What a set of runs will cost."""

    seconds: float  # of one core, or of the GPU
    disk_bytes: int  # final checkpoints
    smallest_parameters: int
    largest_parameters: int


def estimate(configs: Sequence[RunConfig], device: torch.device, vocabulary: str | None = None) -> Estimate:
    """Train the beginning of one cohort of each group and extrapolate. Writes nothing.

    `vocabulary`: what their tokenizer learned, if anything.

    Raises CorpusError if the text is not here or too short.
    """
    bench = Workbench(device)
    if vocabulary is not None:
        bench.keep_vocabulary(vocabulary)
    groups: dict[str, list[RunConfig]] = defaultdict(list)
    for config in configs:
        groups[config.group_key].append(config)
    vocabulary_size = bench.text(configs[0])[1].vocabulary_size
    counts = [count_parameters(config.model, vocabulary_size) for config in configs]
    return Estimate(
        seconds=sum(_group_seconds(bench, group, vocabulary_size) for group in groups.values()),
        disk_bytes=sum(count * _copies(config) for count, config in zip(counts, configs, strict=True)) * _BYTES,
        smallest_parameters=min(counts),
        largest_parameters=max(counts),
    )


def _copies(config: RunConfig) -> int:
    """A checkpoint holds the weights, and Adam's two moments."""
    return 1 if config.training.optimizer == "sgd" else 3


def _group_seconds(bench: Workbench, group: list[RunConfig], vocabulary_size: int) -> float:
    size = min(len(group), cohort_size(group[0], bench.device))
    # Members from all over the group, so that gates are as mixed as they will be.
    chosen = [group[i * len(group) // size] for i in range(size)]
    cohort = bench.cohort([Member(config, fresh_state(config, vocabulary_size)) for config in chosen])
    seconds, steps = _timed_block(cohort, 1)
    if not cohort.any_finished:  # the first step also allocates: measure the ones after it, where there are any
        seconds, steps = _timed_block(cohort, 50)
    return seconds / steps / size * sum(config.target_steps for config in group)


def _timed_block(cohort: Cohort, max_steps: int) -> tuple[float, int]:
    # One thread: where other programs keep a core busy, a second thread waits for it and makes the work many times
    # slower, and the estimate useless.
    begun = time.perf_counter()
    steps = cohort.run_block(max_steps, 1, lambda: time.perf_counter() > begun + _MEASURED_SECONDS)
    return time.perf_counter() - begun, steps
