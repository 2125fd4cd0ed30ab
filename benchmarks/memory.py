"""How much memory a cohort takes, as a multiple of the memory that its models need.

    python -m benchmarks.memory [--only TEXT]

Needed: the weights, gradients and two moments of all models, and the activations of one optimizer step of each. The
activations are the tensors that autograd keeps of the plain model (torch modules and operations) for its backward pass:
each storage once, without weights. Held: the resident memory of a process between two blocks, minus its memory after a
cohort of one, after the allocator has returned free memory. Peak: the highest resident memory, including the creation
of the cohort from runs that still have separate tensors. Each case runs in a separate process.
"""

import argparse
import ctypes
import json
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks.training.cases import Case, bptt_case, online_case

TARGET = 1.3
_MB = 2**20
_FLOAT_BYTES = 4

# Enough models that the memory of a process without models does not matter.
CASES = [
    online_case("online L2 S256 B256", S=256, L=2, B=256, M=32),
    online_case(
        "online L3 S256 B256, all gates",
        S=256,
        L=3,
        B=256,
        M=32,
        **{f"use_{gate}_gate": True for gate in ("input", "forget", "output", "state")},
    ),
    online_case("online L1 S32 B256", S=32, L=1, B=256, M=256),
    bptt_case("bptt L1 S64 B64 T8", S=64, L=1, B=64, T=8, M=128),
    bptt_case("bptt L1 S256 B64 T64", S=256, L=1, B=64, T=64, M=8),
]


def needed_bytes(case: Case) -> tuple[int, int]:
    """Bytes of weights, gradients and moments; bytes of activations."""
    import torch

    from benchmarks.training.plain_models import plain_model
    from rnnlab.spec.regime_settings import OnlineSettings
    from rnnlab.training.run_state import fresh_state

    config, V = case.config, case.vocabulary_size
    parameters = fresh_state(config, V).parameters
    model = plain_model(config.model, parameters, V)
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}
    alive = []  # otherwise the address of a freed storage could be reused

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    B = config.training.batch_size
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        if isinstance(config.training, OnlineSettings):
            state = [torch.zeros(B, config.model.state_size) for _ in range(config.model.n_layers)]
            logits, _ = model(torch.zeros(B, dtype=torch.int64), state)
        else:
            logits = model(torch.zeros(B, config.training.block_size, dtype=torch.int64))
        targets = torch.zeros(logits.shape[:-1].numel(), dtype=torch.int64)
        torch.nn.functional.cross_entropy(logits.flatten(0, -2), targets)
    count = sum(weight.numel() for weight in parameters.values())
    return 4 * _FLOAT_BYTES * count * case.n_models, sum(kept.values()) * case.n_models


def taken_bytes(case: Case) -> tuple[int, int]:
    """Held and peak, measured in this process, which must not do anything else."""
    import torch

    from benchmarks.training.task import text
    from rnnlab.training.cohort import Cohort, Member
    from rnnlab.training.run_state import fresh_state

    torch.set_num_threads(1)
    tokens, V = text(case.vocabulary_size), case.vocabulary_size

    def train(n_models: int) -> Cohort:
        configs = [case.member(m) for m in range(n_models)]
        cohort = Cohort([Member(config, fresh_state(config, V)) for config in configs], tokens, V, torch.device("cpu"))
        for _ in range(2):
            cohort.run_block(4, max_threads=1)
        return cohort

    give_back = ctypes.CDLL("libc.so.6").malloc_trim
    train(1)
    give_back(0)
    before = _status_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    cohort = train(case.n_models)
    give_back(0)
    held, peak = _status_bytes("VmRSS") - before, _status_bytes("VmHWM") - before
    del cohort
    return held, peak


def _status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


def measure(case: Case) -> list[int]:
    """Weights and moments, activations, held, peak, in bytes."""
    command = [sys.executable, "-m", "benchmarks.memory", "--inside", case.name]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True)
    return [*needed_bytes(case), *json.loads(done.stdout)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only the cases whose names contain this")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(taken_bytes(next(case for case in CASES if case.name == options.inside))))
        return
    if platform.system() != "Linux":
        sys.exit("this benchmark reads the peak memory from /proc, which exists only on Linux")
    head = "".join(f"{name:>14}" for name in ("models", "weights x 4", "activations", "held", "peak", "held/needed"))
    print(f"{'MB':34}{head}")
    for case in CASES:
        if options.only in case.name:
            found = measure(case)
            ratio = found[2] / (found[0] + found[1])
            verdict = "" if ratio <= TARGET else f"  above {TARGET:g}"
            row = "".join(f"{part / _MB:14,.1f}" for part in found)
            print(f"{case.name:34}{case.n_models:14}{row}{ratio:14.2f}{verdict}", flush=True)


if __name__ == "__main__":
    main()
