"""Contenders in separate processes, timed in turn, so that other activity of the machine affects all equally."""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.training.cases import Case
from benchmarks.training.flops import flops
from benchmarks.training.task import make_task

PLAIN, FLOOR, RNNLAB = "plain loop", "products alone", "rnnlab"
JAX_FEW = 4


@dataclass(frozen=True)
class Entrant:
    """A contender of the table: its name and its processes."""

    name: str
    kind: str  # see contender.py
    processes: int = 1  # each on a separate core
    number: int = 0  # of models, if the kind can train fewer than all


@dataclass(frozen=True)
class Options:
    """How a case is measured."""

    rounds: int
    seconds: float  # of each contender in each round
    device: str  # cpu, cuda
    cores: Sequence[int]  # that may be used; a single process runs on the last one
    processes: int  # of contenders with several processes


@dataclass(frozen=True)
class Measured:
    """One contender of one case."""

    name: str
    rates: list[float]  # model-steps per second of each round
    shares: list[float]  # share of the time during which it had its core, of each round
    memory: int  # peak bytes of all its processes
    trouble: str = ""  # why there are no rates

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)


@dataclass(frozen=True)
class CaseResult:
    """All contenders of one case, in the order of the table."""

    case: Case
    measured: list[Measured]

    def of(self, name: str) -> Measured | None:
        """The contender with this name, if it ran."""
        return next((one for one in self.measured if one.name == name and one.rates), None)

    def ratios(self, one: Measured, other: str) -> list[float]:
        """Its speed as a multiple of another contender's in the same round."""
        base = self.of(other)
        return [] if base is None else [a / b for a, b in zip(one.rates, base.rates, strict=True)]

    @property
    def flops(self) -> int:
        """FLOPs of the products of one step of one model."""
        return flops(self.case.config, self.case.vocabulary_size)


def entrants(case: Case, options: Options, *, several: bool) -> list[Entrant]:
    """All contenders; with `several`, also the plain loop and rnnlab in several parallel processes.

    JAX also trains few models at once: models that fit into a core's cache are often faster.
    """
    N, M = options.processes, case.n_models
    widths = sorted({1, min(JAX_FEW, M), M})
    side_by_side = several and N > 1
    return [
        Entrant(PLAIN, "plain"),
        *([Entrant(f"{PLAIN}, {N} processes", "plain", N)] if side_by_side else []),
        Entrant("torch.func", "torch.func"),
        *(Entrant(f"JAX, {'all' if 1 < width == M else width} at once", "jax", number=width) for width in widths),
        Entrant(RNNLAB, "rnnlab"),
        *([Entrant(f"{RNNLAB}, {N} processes", "rnnlab", N)] if side_by_side else []),
        Entrant(FLOOR, "floor"),
    ]


def missing(kind: str, device: str) -> str:
    """Why a kind of contender cannot take part on this machine; empty if it can."""
    if not kind.startswith("jax"):
        return ""
    if importlib.util.find_spec("jax") is None:
        return "JAX is not installed (the extra `bench` has it)"
    if device != "cpu" and not any(map(importlib.util.find_spec, ("jax_cuda13_plugin", "jax_cuda12_plugin"))):
        return "the JAX that is installed has no CUDA"
    return ""


def measure(case: Case, who: Sequence[Entrant], options: Options, say: Callable[[str], None]) -> CaseResult:
    """Time all contenders of a case, one round after another."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.npz"
        make_task(case, options.device).write(path)
        teams: list[_Team] = []
        try:
            for entrant in who:
                teams.append(_Team(entrant, path, options))
                say(f"{case.name}: {entrant.name}: {teams[-1].trouble or 'ready'}")
            for number in range(options.rounds):
                for team in teams:
                    team.train(options.seconds)
                say(f"{case.name}: round {number + 1} of {options.rounds}")
        finally:
            for team in teams:
                team.stop()
    return CaseResult(case, [team.measured() for team in teams])


class _Team:
    """The processes of one contender."""

    def __init__(self, entrant: Entrant, path: Path, options: Options) -> None:
        """Start them one after another, because several of them warm up on the same core."""
        self.entrant = entrant
        self.trouble = missing(entrant.kind, options.device)
        self._on_gpu = options.device != "cpu"
        self._rates: list[float] = []
        self._shares: list[float] = []
        self._memory = 0
        self._children: list[subprocess.Popen[str]] = []
        for number in range(0 if self.trouble else entrant.processes):
            core = "any" if self._on_gpu else str(options.cores[-1 - number % len(options.cores)])
            arguments = [entrant.kind, str(entrant.number + number), core, options.device, str(path)]
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.training.contender", *arguments],
                cwd=Path(__file__).parents[2],
                env=_environment(options.device),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self._children.append(child)
            if self._answer(child) != "ready\n":
                return

    def train(self, seconds: float) -> None:
        """One round of all processes in parallel."""
        if self.trouble:
            return
        for child in self._children:
            assert child.stdin is not None
            child.stdin.write(f"{seconds}\n")
            child.stdin.flush()
        answers = [self._answer(child) for child in self._children]
        if self.trouble:
            return
        reports: list[dict[str, Any]] = [json.loads(answer) for answer in answers]
        # On a shared core, only the time during which we had it counts; on a GPU, wall time counts.
        clock = "seconds" if self._on_gpu else "core_seconds"
        self._rates.append(sum(report["model_steps"] / report[clock] for report in reports))
        self._shares.append(statistics.mean(report["core_seconds"] / report["seconds"] for report in reports))
        self._memory = sum(report["device_memory" if self._on_gpu else "memory"] for report in reports)

    def _answer(self, child: subprocess.Popen[str]) -> str:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            self.trouble = f"failed with exit code {child.wait()}"
        return line

    def stop(self) -> None:
        """End the processes."""
        for child in self._children:
            child.kill()
            child.communicate()

    def measured(self) -> Measured:
        """The result."""
        rates = [] if self.trouble else self._rates
        return Measured(self.entrant.name, rates, self._shares, self._memory, self.trouble)


def _environment(device: str) -> dict[str, str]:
    """On a CPU, one thread for every contender."""
    if device != "cpu":
        # The defaults of torch: no TF32, and no allocation of the whole GPU memory at the start.
        return {**os.environ, "JAX_DEFAULT_MATMUL_PRECISION": "highest", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "XLA_FLAGS": flags}
    return {**os.environ, **one_thread, "JAX_PLATFORMS": "cpu"}
