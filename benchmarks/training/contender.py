"""One contender in a separate process on one core: it builds the models, warms up, and trains for the requested time.

    python -m benchmarks.training.contender KIND NUMBER CORE DEVICE TASK

It prints "ready", then reads lines with a number of seconds and answers each with a line of JSON, until its input ends.
CORE may be "any". NUMBER is the index of the model for a plain loop, and the number of models for JAX.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from benchmarks.training.task import Task, read_task


class Contender(Protocol):
    """A way to train the models of a task."""

    def train_block(self) -> int:
        """Train a block of steps and wait until the device has finished; returns the number of model-steps."""


def make_contender(kind: str, task: Task, device: str, number: int = 0) -> Contender:
    """The contender called `kind`."""
    return _MAKERS[kind](task, device, number)


def _plain(task: Task, device: str, number: int) -> Contender:
    import torch

    from benchmarks.training.plain_loop import PlainLoop

    return PlainLoop(task, torch.device(device), number)


def _torch_func(task: Task, device: str, number: int) -> Contender:
    import torch

    from benchmarks.training.torch_func import TorchFunc

    return TorchFunc(task, torch.device(device))


def _jax(task: Task, device: str, number: int) -> Contender:
    from benchmarks.training.jax_scan import JaxScan

    return JaxScan(task, number)


def _rnnlab(task: Task, device: str, number: int) -> Contender:
    import torch

    from benchmarks.training.cohort import RnnlabCohorts

    return RnnlabCohorts(task, torch.device(device))


def _floor(task: Task, device: str, number: int) -> Contender:
    import torch

    from benchmarks.training.floor import Floor

    return Floor(task, torch.device(device))


_MAKERS: dict[str, Callable[[Task, str, int], Contender]] = {
    "plain": _plain,
    "torch.func": _torch_func,
    "jax": _jax,
    "rnnlab": _rnnlab,
    "floor": _floor,
}


def peak_memory() -> int:
    """Peak bytes of main memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent's memory before exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def peak_device_memory() -> int:
    """Peak bytes of GPU memory, 0 without a GPU."""
    if torch := sys.modules.get("torch"):
        return int(torch.cuda.max_memory_allocated()) if torch.cuda.is_available() else 0
    if jax := sys.modules.get("jax"):
        return int((jax.local_devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0))
    return 0


def main() -> None:
    """Answer requests until the input ends."""
    kind, number, core, device, path = sys.argv[1:]
    if core != "any":
        os.sched_setaffinity(0, {int(core)})  # before the libraries count their cores
    if kind != "rnnlab":
        # Importing rnnlab has set the kernels of MKL; the other contenders use the default kernels.
        os.environ.pop("MKL_CBWR", None)
    contender = make_contender(kind, read_task(Path(path)), device, int(number))
    contender.train_block()
    contender.train_block()
    print("ready", flush=True)
    for line in sys.stdin:
        steps, begun, begun_cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - begun < float(line):
            steps += contender.train_block()
        report = {
            "model_steps": steps,
            "seconds": time.perf_counter() - begun,
            "core_seconds": time.process_time() - begun_cpu,
            "memory": peak_memory(),
            "device_memory": peak_device_memory(),
        }
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
