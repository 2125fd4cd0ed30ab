"""How many model-steps a second: the plain loop, several of it, torch.func, JAX and rnnlab side by side.

    python -m benchmarks.training [--cases targets,scaling,gpu,round] [--device cpu] [--out FILE]

A model-step is one optimiser step of one model. Everybody trains the same models from the same weights on the same
batches, in processes of their own, in turns. On a CPU each process has one thread and is pinned to one core, and a second
is one that it had this core. JAX takes part where it is installed (pip install 'rnnlab[bench]').
"""

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks.training.alternation import CaseResult, Options, entrants, measure
from benchmarks.training.cases import scaling_points, target_cases
from benchmarks.training.table import as_markdown, as_text, machine


def main() -> None:
    """Measure, and print."""
    choices = parse(sys.argv[1:])
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    processes = choices.processes or (len(cores) if choices.device == "cpu" else 2)
    options = Options(choices.rounds, choices.seconds, choices.device, cores, processes)
    if choices.cases in ("gpu", "round"):
        from benchmarks.training import rounds

        rounds.run(choices.cases, options, choices)
        return
    print(machine(options), end="\n\n", flush=True)
    results = targets(choices, options) if choices.cases == "targets" else scaling(choices, options)
    if choices.out:
        choices.out.write_text(as_markdown(results, options), encoding="utf-8")
