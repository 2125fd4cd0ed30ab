"""Three reference cases on generated text, to compare the speed of machines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rnnlab.data.corpus import resolve
from rnnlab.spec.run_config import RunConfig, parse_run_config
from rnnlab.training.cohort_size.throughput import model_steps_per_second
from rnnlab.training.context import TrainingContext

_ONLINE = {"regime": "online", "batch_size": 256, "window_length": 1000, "windows": 11, "learning_rate": 1e-3}
_GATED = {"cell": "gated", "use_forget_gate": True, "use_state_gate": True, "use_residual": True}
_CASES: dict[str, dict[str, dict[str, Any]]] = {
    "online, gated, 2 layers of 256, batch 256": {
        "model": {**_GATED, "n_layers": 2, "state_size": 256},
        "training": _ONLINE,
    },
    "online, gated, 1 layer of 32, batch 256": {
        "model": {**_GATED, "n_layers": 1, "state_size": 32},
        "training": _ONLINE,
    },
    "BPTT, gru-reset-before 64/64, block 8, batch 64": {
        "model": {"cell": "gru-reset-before", "embedding_size": 64, "state_size": 64},
        "training": {"regime": "bptt", "batch_size": 64, "block_size": 8, "iterations": 20_000, "learning_rate": 1e-3},
    },
}
_REPEATS = 3


@dataclass(frozen=True)
class CaseSpeed:
    """The speed of one reference case, alone and in a cohort; on a CPU, with one thread."""

    case: str
    alone: float  # optimizer steps per second of one model
    models: int  # size of the cohort
    cohort: float  # model-steps per second of the cohort

    @property
    def ratio(self) -> float:
        """Speed of the cohort divided by the speed of training its models one after the other."""
        return self.cohort / self.alone

    def as_json(self) -> dict[str, str | float]:
        """Plain values, for `--json`."""
        return {
            "case": self.case,
            "model_steps_per_second_alone": self.alone,
            "models": self.models,
            "model_steps_per_second": self.cohort,
            "ratio": self.ratio,
        }


def measure_reference_cases(
    context: TrainingContext, size_for: Callable[[RunConfig], int], seconds: float
) -> list[CaseSpeed]:
    """Measure all reference cases for about `seconds` in total, in addition to the time of `size_for`.

    Raises CorpusError if the generated text cannot be stored.
    """
    corpus = resolve("generated")
    shared = {"corpus": {"name": corpus.name, "sha256": corpus.sha256}, "tokenizer": {"kind": "bytes"}, "seed": 0}
    shared |= {"split": {}, "evaluation": {}}
    speeds = []
    for name, tables in _CASES.items():
        config = parse_run_config({**shared, **tables})
        models = size_for(config)
        fastest = {1: 0.0, models: 0.0}
        # Alternate, and take the fastest of each: other programs on this machine can only make a measurement slower.
        for size in [1, models] * _REPEATS:
            rate = model_steps_per_second(
                context, [config] * size, seconds=seconds / len(_CASES) / 2 / _REPEATS, max_threads=1
            )
            fastest[size] = max(fastest[size], rate)
        speeds.append(CaseSpeed(name, fastest[1], models, fastest[models]))
    return speeds
