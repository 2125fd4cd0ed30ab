"""Model-steps per second of the plain loop (in one and several processes), torch.func, JAX and rnnlab.

    python -m benchmarks.training [--cases targets|scaling|gpu|round] [--device cpu|cuda] [--out FILE]

A model-step is one optimizer step of one model. All contenders train the same models from the same weights on the same
batches, in separate processes, in turn. On a CPU, each process has one thread and is pinned to one core, and only the
time during which it had the core counts. JAX takes part if it is installed (pip install 'rnnlab[bench]').

targets: the cases with a guaranteed speed. scaling: models, state size, layers and batch size, one at a time, with a
picture. gpu: the first rounds of dynamics and shakespeare, plain loop and rnnlab, with the real mixture of configs.
round: real workers on a reduced first round, compared with the same number of plain-loop processes.
"""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.training.alternation import CaseResult, Options, entrants, measure
from benchmarks.training.cases import SWEEP_NOTE, Point, scaling_points, target_cases
from benchmarks.training.table import as_markdown, as_text, machine

# Default rounds, and default seconds of each contender in each round.
_PLANS = {"targets": (5, 2.0), "scaling": (3, 1.0), "gpu": (3, 0.0), "round": (2, 0.0)}
_STUDIES = ("dynamics", "shakespeare")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    choices = _parser().parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    rounds, seconds = _PLANS[choices.cases]
    options = Options(
        rounds=choices.rounds or rounds,
        seconds=choices.seconds or seconds,
        device=choices.device,
        cores=cores,
        processes=choices.processes or (len(cores) if choices.device == "cpu" else 2),
    )
    kinds = {"targets": _targets, "scaling": _scaling, "gpu": _studies, "round": _round}
    page = kinds[choices.cases](choices, options)
    if choices.out:
        choices.out.parent.mkdir(parents=True, exist_ok=True)
        choices.out.write_text(page, encoding="utf-8")
        _say(f"written: {choices.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", choices=list(_PLANS), default="targets")
    parser.add_argument("--only", default="", metavar="TEXT", help="only the cases whose names contain this")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, help="number of rounds; each contender runs once in each round")
    parser.add_argument("--seconds", type=float, help="duration of each contender in each round")
    parser.add_argument("--processes", type=int, help="processes of the contenders with several [cores; 2 on a GPU]")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the tables to this file, as Markdown")
    scaling = parser.add_argument_group("scaling")
    scaling.add_argument("--minutes", type=float, default=20.0, help="start no further point after this time")
    scaling.add_argument(
        "--plots", type=Path, default=Path("plots"), help="folder; the picture is written to its folder training/"
    )
    studies = parser.add_argument_group("gpu and round")
    studies.add_argument("--scale", help="scale of the experiments, such as tiny [gpu: as published; round: tiny]")
    studies.add_argument("--steps", type=int, default=300, help="gpu: steps of each measured model in each round")
    studies.add_argument(
        "--full", action="store_true", help="gpu: train every run to its end, with both contenders (hours)"
    )
    studies.add_argument("--corpus", default="generated", help="round: the text")
    return parser


def _targets(choices: argparse.Namespace, options: Options) -> str:
    print(machine(options), end="\n\n", flush=True)
    results = []
    for case in target_cases(options.device):
        if choices.only in case.name:
            results.append(measure(case, entrants(case, options, several=True), options, _say))
            print(as_text(results[-1]), flush=True)
    return as_markdown(results, options)


def _scaling(choices: argparse.Namespace, options: Options) -> str:
    from benchmarks.training.picture import scaling_figure
    from rnnlab.analysis.plots.style import png

    print(machine(options), end="\n\n", flush=True)
    begun = time.monotonic()
    points = [point for point in scaling_points() if choices.only in point.case.name]
    results: list[tuple[Point, CaseResult]] = []
    for number, point in enumerate(points):
        if time.monotonic() - begun > 60 * choices.minutes:
            left = ", ".join(point.case.name for point in points[number:])
            print(f"not measured, because {choices.minutes:g} minutes have passed: {left}\n")
            break
        who = entrants(point.case, options, several=False)
        results.append((point, measure(point.case, who, options, _say)))
        print(as_text(results[-1][1]), flush=True)
    path = choices.plots / "training" / f"scaling-{options.device}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(scaling_figure(results, f"{SWEEP_NOTE}. {machine(options)}.")))
    _say(f"drawn: {path}")
    return as_markdown([result for _, result in results], options)


def _studies(choices: argparse.Namespace, options: Options) -> str:
    import torch

    from benchmarks.training.studies import groups_of, measure_group, report

    if options.device == "cpu":
        torch.set_num_threads(1)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {options.cores[-1]})
    pages = []
    precisions = ("float32",) if options.device == "cpu" else ("float32", "tf32")  # of rnnlab; the plain loop's is IEEE
    for study, precision in itertools.product(_STUDIES, precisions):
        if choices.only not in study:
            continue
        measured = []
        name = study if precision == "float32" else f"{study} in {precision}"
        groups = groups_of(study, choices.scale, precision)
        for configs in groups:
            measured.append(
                measure_group(configs, torch.device(options.device), options.rounds, choices.steps, full=choices.full)
            )
            _say(f"{name}: {len(measured)} of {len(groups)} groups")
        pages.append(report(name, measured, full=choices.full))
        print(pages[-1], end="\n\n", flush=True)
    return "\n\n".join(f"```\n{page}\n```" for page in pages) + "\n"


def _round(choices: argparse.Namespace, options: Options) -> str:
    from benchmarks.training.whole_round import run

    page = run("dynamics", choices.scale or "tiny", choices.corpus, options.processes, options.rounds, _say)
    print(page)
    return f"```\n{page}\n```\n"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
