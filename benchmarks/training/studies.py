"""Whole first rounds of experiments with their real mixture of configs: rnnlab's cohorts and the plain loop.

A limited number of steps of each group is measured, and the whole round is extrapolated from it; or all of it is
trained. torch.func and JAX do not take part: they cannot stack models with different gates.

Shapes: M models, K steps of a block.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from torch import Tensor

from benchmarks.training.plain_loop import PlainModel
from benchmarks.training.task import batches, starts_of, text
from rnnlab.spec.grid import enumerate_configs
from rnnlab.spec.library import find_experiment
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.settings import CorpusSettings
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.cohort_size.default_size import default_cohort_size
from rnnlab.training.run_state import fresh_state

_WARM_STEPS = 5
_BLOCK_STEPS = 100  # of rnnlab between two clock readings
_PLAIN_SAMPLE = 6  # configs of a group that the plain loop trains, evenly spaced, unless it trains all
_VOCABULARIES = {"bytes": 256, "letters": 28, "characters": 65}  # characters: as tiny Shakespeare


@dataclass(frozen=True)
class Group:
    """Configs that can share a cohort, and their training speed in model-steps per second."""

    configs: Sequence[RunConfig]
    measured_steps: int  # model-steps of rnnlab that were timed
    measured_plain_steps: int
    rate: float
    plain_rate: float

    @property
    def model_steps(self) -> int:
        """Model-steps of all runs to their ends."""
        return sum(config.target_steps for config in self.configs)


def groups_of(experiment: str, scale: str | None, precision: str = "float32") -> list[list[RunConfig]]:
    """The first round of a built-in experiment, by group, with rnnlab's products in that precision."""
    corpus = CorpusSettings(name="none", sha256="0" * 64)
    found = enumerate_configs(find_experiment(experiment, scale), corpus)
    configs = sorted((one.with_settings({"precision": precision}) for one in found), key=lambda one: one.group_key)
    return [list(group) for _, group in groupby(configs, key=lambda one: one.group_key)]


def measure_group(configs: Sequence[RunConfig], device: torch.device, rounds: int, steps: int, *, full: bool) -> Group:
    """Medians of both contenders in turn; `full`: every run to its end, once. `steps`: of each measured model."""
    if full:
        rnnlab_steps, seconds = train_all(configs, device)
        plain_steps, plain_seconds = train_plainly(configs, device, max(one.target_steps for one in configs), 0)
        return Group(configs, rnnlab_steps, plain_steps, rnnlab_steps / seconds, plain_steps / plain_seconds)
    sample = spaced(configs, _PLAIN_SAMPLE)
    cohort = new_cohort(spaced(configs, default_cohort_size(configs[0], device)), device)
    cohort.run_block(_WARM_STEPS, max_threads=1)
    rates, plain_rates = [], []
    measured = plain_measured = 0
    for _ in range(rounds):
        done, seconds = timed(partial(run_steps, cohort, steps), device)
        rates.append(done / seconds)
        measured += done
        plain_done, seconds = train_plainly(sample, device, steps, _WARM_STEPS)
        plain_rates.append(plain_done / seconds)
        plain_measured += plain_done
    return Group(configs, measured, plain_measured, statistics.median(rates), statistics.median(plain_rates))


def spaced(configs: Sequence[RunConfig], count: int) -> list[RunConfig]:
    """At most `count` of them, evenly spaced."""
    count = min(count, len(configs))
    return [configs[index * len(configs) // count] for index in range(count)]


def new_cohort(configs: Sequence[RunConfig], device: torch.device) -> Cohort:
    """A cohort of new runs."""
    vocabulary_size = _VOCABULARIES[configs[0].tokenizer.kind]
    members = [Member(config, fresh_state(config, vocabulary_size)) for config in configs]
    return Cohort(members, text(vocabulary_size), vocabulary_size, device)


def run_steps(cohort: Cohort, steps: int) -> int:
    """Train at most `steps` steps of each model; returns the number of model-steps."""
    done = 0
    while done < steps and not cohort.any_finished:
        done += cohort.run_block(min(_BLOCK_STEPS, steps - done), max_threads=1)
    return done * len(cohort)


def train_all(configs: Sequence[RunConfig], device: torch.device) -> tuple[int, float]:
    """Train every run, in cohorts, until the shortest run of its cohort ends; returns model-steps and seconds."""
    size = default_cohort_size(configs[0], device)
    total, seconds = 0, 0.0
    for first in range(0, len(configs), size):
        done, taken = timed(partial(_train_chunk, configs[first : first + size], device), device)
        total, seconds = total + done, seconds + taken
    return total, seconds


def train_plainly(configs: Sequence[RunConfig], device: torch.device, steps: int, warm_steps: int) -> tuple[int, float]:
    """The plain loop over the configs, one after another; returns model-steps and seconds without the warm-up."""
    vocabulary_size = _VOCABULARIES[configs[0].tokenizer.kind]
    tokens = text(vocabulary_size)
    total, seconds = 0, 0.0
    for config in configs:
        n_steps = min(config.target_steps, steps + warm_steps)
        inputs_K, targets_K = (
            torch.from_numpy(part).to(device, torch.int64) for part in batches(config, tokens, n_steps)
        )
        starts = starts_of(config, n_steps).tolist()
        model = PlainModel(config, fresh_state(config, vocabulary_size).parameters, vocabulary_size, device)

        batch = list(zip(inputs_K, targets_K, starts, strict=True))
        _take_steps(model, batch[:warm_steps])
        done, taken = timed(partial(_take_steps, model, batch[warm_steps:]), device)
        total, seconds = total + done, seconds + taken
    return total, seconds


def _take_steps(model: PlainModel, batch: Sequence[tuple[Tensor, Tensor, bool]]) -> int:
    for inputs, targets, start in batch:
        model.step(inputs, targets, start)
    return len(batch)


def _train_chunk(configs: Sequence[RunConfig], device: torch.device) -> int:
    return run_steps(new_cohort(configs, device), max(config.target_steps for config in configs))


def timed(work: Callable[[], int], device: torch.device) -> tuple[int, float]:
    """The result of the work, and its seconds: core time on a CPU, which may be shared; otherwise wall time."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    begun = clock()
    done = work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return done, clock() - begun


def report(name: str, groups: Sequence[Group], *, full: bool) -> str:
    """One line for each group, then one for the whole round."""
    from rnnlab.actions.status import format_seconds

    lines = [f"{name}: {'group':26}{'runs':>6}{'plain/s':>12}{'rnnlab/s':>12}{'ratio':>8}"]
    for group in groups:
        label = group.configs[0].group_key
        lines.append(
            f"{' ' * len(name)}  {label:26}{len(group.configs):6}{group.plain_rate:12,.1f}{group.rate:12,.1f}"
            f"{group.rate / group.plain_rate:8.2f}"
        )
    steps = sum(group.model_steps for group in groups)
    seconds = sum(group.model_steps / group.rate for group in groups)
    plain_seconds = sum(group.model_steps / group.plain_rate for group in groups)
    lines.append(
        f"{name}: whole first round, {sum(len(group.configs) for group in groups):,} runs, {steps:,} model-steps: "
        f"plain loop {format_seconds(plain_seconds)}, rnnlab {format_seconds(seconds)}, {plain_seconds / seconds:.2f}x"
    )
    measured = sum(group.measured_steps for group in groups)
    plain = sum(group.measured_plain_steps for group in groups)
    how = "all of it was trained" if full else "extrapolated from the measured steps"
    lines.append(f"{name}: {how}: {measured:,} model-steps by rnnlab, {plain:,} by the plain loop")
    return "\n".join(lines)
