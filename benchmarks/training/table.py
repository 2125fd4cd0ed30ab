"""The results as text: one table for each case, for a terminal or as Markdown."""

import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.training.alternation import FLOOR, PLAIN, RNNLAB, CaseResult, Measured, Options

HEADINGS = ("", "model-steps/s", "x plain loop", "spread", "of floor", "peak MB", "core")


def machine(options: Options) -> str:
    """The machine and the versions of the measurement."""
    named = [name for name in ("torch", "jax") if _version(name)]
    versions = ", ".join(f"{name} {_version(name)}" for name in named)
    if options.device == "cpu":
        how = f"each process on one core with one thread, {len(options.cores)} cores, load {os.getloadavg()[0]:.1f}"
        clock = "core time"
    else:
        import torch

        how, clock = torch.cuda.get_device_name(), "wall time"
    return (
        f"{_processor()}: {how}; Python {platform.python_version()}, {versions}, float32; medians of {options.rounds} "
        f"rounds of {options.seconds:g} s each in turn, {clock}"
    )


def heading(result: CaseResult) -> str:
    """The name, number of models and size of the case."""
    case = result.case
    text = f"{case.name}: {case.n_models} models, {result.flops / 1e6:,.1f} MFLOP of products per model-step"
    floor = result.of(FLOOR)
    if floor is not None:
        text += f", at {result.flops * floor.rate / 1e9:,.1f} GFLOP/s for the products alone"
    return text


def verdict(result: CaseResult) -> str:
    """The speed of rnnlab relative to its target and to the best other contender with one process."""
    own, plain = result.of(RNNLAB), result.of(PLAIN)
    if own is None or plain is None:
        return ""
    ratio = statistics.median(result.ratios(own, PLAIN))
    target = result.case.target
    words = f"rnnlab {ratio:.2f}x the plain loop"
    if target is not None:
        words += f", target {target:g}x: {'met' if ratio >= target else 'missed'}"
    rivals = [one for one in result.measured if one.rates and one.name.startswith(("torch.func", "JAX"))]
    if rivals:
        best = max(rivals, key=lambda one: one.rate)
        words += f"; {statistics.median(result.ratios(own, best.name)):.2f}x the best rival, {best.name}"
    return words


def rows(result: CaseResult) -> list[tuple[str, ...]]:
    """One row for each contender, below HEADINGS."""
    return [_row(result, one) for one in result.measured]


def _row(result: CaseResult, one: Measured) -> tuple[str, ...]:
    if not one.rates:
        return (one.name, one.trouble or "no rates", "", "", "", "", "")
    ratios, floors = result.ratios(one, PLAIN), result.ratios(one, FLOOR)
    return (
        one.name,
        f"{one.rate:,.1f}" if one.rate < 1000 else f"{one.rate:,.0f}",
        f"{statistics.median(ratios):.2f}" if ratios else "",
        f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "",
        f"{statistics.median(floors):.0%}" if floors else "",
        f"{one.memory / 1e6:,.0f}",
        f"{statistics.median(one.shares):.0%}",
    )


def as_text(result: CaseResult) -> str:
    """A table for a terminal."""
    lines = [heading(result)]
    for row in (HEADINGS, *rows(result)):
        lines.append(f"  {row[0]:26}" + "".join(f"{cell:>15}" for cell in row[1:]).rstrip())
    return "\n".join([*lines, f"  {verdict(result)}", ""])


def as_markdown(results: Sequence[CaseResult], options: Options) -> str:
    """A page with all cases."""
    parts = [
        "# Training speed\n",
        f"{machine(options)}.\n",
        "x plain loop: median of the ratios within each round, with their spread. Of floor: share of the speed of the "
        "matrix products alone. Core: share of the time that a process had its core.\n",
    ]
    for result in results:
        parts.append(f"## {heading(result)}\n")
        parts.append(f"| {' | '.join(HEADINGS)} |\n|---|{'---:|' * (len(HEADINGS) - 1)}")
        parts += [f"| {' | '.join(row)} |" for row in rows(result)]
        parts.append(f"\n{verdict(result)}.\n")
    return "\n".join(parts)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
