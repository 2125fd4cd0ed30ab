"""The cases to measure: the configs of the models, their number, and their target speed.

Shapes: M models, S state size, L layers, B batch rows, T symbols of a window.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.training.flops import flops
from rnnlab.spec.run_config import RunConfig, parse_run_config

# FLOPs of a block of steps: a few tenths of a second on one core or on a GPU.
_BLOCK_FLOPS = {"cpu": 2e10, "cuda": 1e13}
_NO_END = 1_000_000  # windows or iterations: more than any measurement reaches


@dataclass(frozen=True)
class Case:
    """M models of one config, which differ in their seeds."""

    name: str
    config: RunConfig
    vocabulary_size: int
    n_models: int  # M, trained at once by contenders that can do this
    target: float | None = None  # rnnlab's speed as a multiple of the plain loop's

    def block_steps(self, device: str) -> int:
        """Optimizer steps of each model between two clock readings."""
        whole = _BLOCK_FLOPS[device] / (self.n_models * flops(self.config, self.vocabulary_size))
        return max(2, min(100, round(whole)))

    def member(self, m: int) -> RunConfig:
        """The config of model m."""
        return self.config.with_settings({"seed": m})


def online_case(name: str, *, S: int, L: int, B: int, M: int, target: float | None = None, **gates: bool) -> Case:
    """Gated models in the online regime, on bytes."""
    chosen = gates or {"use_forget_gate": True, "use_state_gate": True}
    model = {"cell": "gated", "n_layers": L, "state_size": S, "use_residual": True, **chosen}
    training = {"regime": "online", "batch_size": B, "window_length": 201, "windows": _NO_END}
    return Case(name, _config(model, {**training, "learning_rate": 1e-3}), 256, M, target)


def bptt_case(name: str, *, S: int, L: int, B: int, T: int, M: int, target: float | None = None) -> Case:
    """GRUs that reset before the recurrent product, with embedding size S, on 65 characters, with AdamW."""
    model = {"cell": "gru-reset-before", "n_layers": L, "state_size": S, "embedding_size": S}
    training = {"regime": "bptt", "batch_size": B, "block_size": T, "iterations": _NO_END, "optimizer": "adamw"}
    return Case(name, _config(model, {**training, "learning_rate": 1e-3}), 65, M, target)


def target_cases(device: str) -> list[Case]:
    """The cases with a guaranteed speed on a CPU, and the large GRU; a GPU trains more models at once."""
    wide = device != "cpu"
    cases = [
        online_case("online L2 S256 B256", S=256, L=2, B=256, M=64 if wide else 4, target=1.8),
        online_case("online L1 S32 B256", S=32, L=1, B=256, M=256 if wide else 32, target=4),
        online_case("online L1 S32 B32", S=32, L=1, B=32, M=256 if wide else 48, target=10),
        bptt_case("bptt L1 S64 B64 T8", S=64, L=1, B=64, T=8, M=256 if wide else 16, target=5),
        bptt_case("bptt L1 S256 B64 T64", S=256, L=1, B=64, T=64, M=32 if wide else 4),
    ]
    return [replace(case, target=None) for case in cases] if wide else cases


# The sweep varies one axis at a time, starting from a center that all axes share.
_MIDDLE = {"M": 16, "S": 64, "L": 2, "B": 64}
AXES: Mapping[str, tuple[int, ...]] = {
    "M": (1, 4, 16, 64, 256),
    "S": (32, 64, 128, 256, 512),
    "L": (1, 2, 4, 8),
    "B": (32, 64, 128, 256),
}
_SWEEP_T = 16
SWEEP_NOTE = ", ".join(f"{axis} {value}" for axis, value in _MIDDLE.items()) + f" unless varied; bptt: T {_SWEEP_T}"


@dataclass(frozen=True)
class Point:
    """A case of the sweep, with its position on the axes."""

    regime: str  # online, bptt
    axes: tuple[str, ...]  # the axes that this point belongs to; the center belongs to all of them
    place: Mapping[str, int]  # M, S, L, B
    case: Case


def scaling_points() -> list[Point]:
    """The points of both regimes in turn, the center first and the expensive ones last, in case the time runs out."""
    found = []
    for regime in ("online", "bptt"):
        points = [_point(regime, tuple(AXES), _MIDDLE)]
        for axis, values in AXES.items():
            points += [_point(regime, (axis,), {**_MIDDLE, axis: one}) for one in values if one != _MIDDLE[axis]]
        found.append(sorted(points, key=lambda point: (len(point.axes) == 1, _cost(point))))
    return [point for pair in zip(*found, strict=True) for point in pair]


def _cost(point: Point) -> float:
    return point.case.n_models * flops(point.case.config, point.case.vocabulary_size)


def _point(regime: str, axes: tuple[str, ...], place: Mapping[str, int]) -> Point:
    name = f"{regime} " + " ".join(f"{axis}{value}" for axis, value in place.items())
    if regime == "online":
        case = online_case(name, S=place["S"], L=place["L"], B=place["B"], M=place["M"])
    else:
        case = bptt_case(name, S=place["S"], L=place["L"], B=place["B"], T=_SWEEP_T, M=place["M"])
    return Point(regime, axes, place, case)


def _config(model: Mapping[str, Any], training: Mapping[str, Any]) -> RunConfig:
    """A run config without a real text."""
    return parse_run_config(
        {
            "corpus": {"name": "none", "sha256": "0" * 64},
            "tokenizer": {"kind": "bytes"},
            "split": {"train": 0.9, "validation": 0.05, "test": 0.05},
            "evaluation": {"windows": 1},
            "model": model,
            "training": training,
            "seed": 0,
        }
    )
