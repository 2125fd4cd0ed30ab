"""A whole round with real workers, compared with the same number of processes that run the plain loop.

    python -m benchmarks.training.whole_round EXPERIMENT SCALE CORPUS NUMBER PROCESSES

starts one of the plain-loop processes. An empty SCALE is the experiment's own size.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TARGET = 2.0  # minimum ratio of the time of the plain processes to rnnlab's time
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Spent:
    """The time of one round."""

    seconds: float  # from the start of the first process to the end of the last one
    core_seconds: float  # sum over all processes


def run(experiment: str, scale: str, corpus: str, processes: int, rounds: int, say: Callable[[str], None]) -> str:
    """Run both contenders in turn; returns the report."""
    named = [experiment, scale, corpus]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RNNLAB_DATA": folder}
        workers, plain = [], []
        for number in range(rounds):
            place = Path(folder) / str(number)
            options = ["--results", str(place / "results")]
            _rnnlab(
                "init",
                experiment,
                *(["--scale", scale] if scale else []),
                "--corpus",
                corpus,
                *options,
                environment=environment,
            )
            worker = [sys.executable, "-m", "rnnlab", "worker", "--device", "cpu", "--quiet", *options]
            workers.append(_spent([worker] * processes, environment))
            say(f"round {number + 1}: {processes} workers {workers[-1].seconds:.1f} s")
            module = [sys.executable, "-m", "benchmarks.training.whole_round", *named]
            plain.append(_spent([[*module, str(one), str(processes)] for one in range(processes)], environment))
            say(f"round {number + 1}: {processes} plain processes {plain[-1].seconds:.1f} s")
    return _report(" ".join(named[:2]), processes, workers, plain)


def _report(name: str, processes: int, workers: Sequence[Spent], plain: Sequence[Spent]) -> str:
    ratios = [b.seconds / a.seconds for a, b in zip(workers, plain, strict=True)]
    core_ratios = [b.core_seconds / a.core_seconds for a, b in zip(workers, plain, strict=True)]
    ratio = statistics.median(ratios)
    lines = [f"{name}, first round, {processes} processes each, in turn; medians of {len(ratios)}"]
    for label, spent in ((f"{processes} plain processes", plain), (f"{processes} rnnlab workers", workers)):
        seconds = statistics.median(one.seconds for one in spent)
        core_seconds = statistics.median(one.core_seconds for one in spent)
        lines.append(f"  {label:26}{seconds:10.1f} s{core_seconds:12.1f} core-seconds")
    lines.append(
        f"  ratio {ratio:.2f}x ({min(ratios):.2f}-{max(ratios):.2f}), in core-seconds "
        f"{statistics.median(core_ratios):.2f}x; target {TARGET:g}x: {'met' if ratio >= TARGET else 'missed'}"
    )
    lines.append("  the workers also evaluate each run and write its checkpoint, its curve and its results")
    return "\n".join(lines)


def _rnnlab(*arguments: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "rnnlab", *arguments]
    subprocess.run(
        command, cwd=_ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _spent(commands: Sequence[Sequence[str]], environment: dict[str, str]) -> Spent:
    """Start all commands and wait for them."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    children = [
        subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL) for command in commands
    ]
    try:
        for child in children:
            if code := child.wait():
                raise RuntimeError(f"a process ended with exit code {code}: {child.args!r}")
    finally:
        for child in children:
            child.kill()
            child.wait()
    seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Spent(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def train_plainly(experiment: str, scale: str, corpus: str, number: int, processes: int) -> None:
    """The share of one process: every `processes`-th config, one after another, each to its end."""
    import torch

    from benchmarks.training.plain_loop import PlainModel
    from benchmarks.training.task import batches, starts_of
    from rnnlab.plans.plan import make_plan
    from rnnlab.spec.library import find_experiment
    from rnnlab.training.context import TrainingContext
    from rnnlab.training.run_state import fresh_state

    device = torch.device("cpu")
    context = TrainingContext(device)
    plan = make_plan(find_experiment(experiment, scale or None), corpus)
    if plan.vocabulary is not None:
        context.keep_vocabulary(plan.vocabulary)
    for config in plan.first_round[number::processes]:
        splits, tokenizer = context.text(config)
        V, n_steps = tokenizer.vocabulary_size, config.target_steps
        model = PlainModel(config, fresh_state(config, V).parameters, V, device)
        inputs_K, targets_K = (torch.from_numpy(part).long() for part in batches(config, splits.train, n_steps))
        for inputs, targets, start in zip(inputs_K, targets_K, starts_of(config, n_steps).tolist(), strict=True):
            model.step(inputs, targets, start)


if __name__ == "__main__":
    # Use MKL's default kernels, as without rnnlab; see contender.py.
    os.environ.pop("MKL_CBWR", None)
    train_plainly(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
