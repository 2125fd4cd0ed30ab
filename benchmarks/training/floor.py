"""The floor: only the matrix products of the steps, as fast as torch or rnnlab's kernels compute them.

Shapes: U models that are multiplied at once, some of the M models.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.training.flops import products
from benchmarks.training.task import Task
from rnnlab.kernels.build import kernels_on, load
from rnnlab.kernels.lowering import lower
from rnnlab.kernels.operations import SETTINGS
from rnnlab.kernels.program import NativeProgram
from rnnlab.kernels.tracing import trace

_TRIALS = 5


class Floor:
    """Batched products over U models, one group after another, with the fastest U and the fastest method.

    All groups use the same numbers. With a small U, these stay in the cache, which is impossible in real training.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self._device, self._products = device, products(task.config, task.vocabulary_size)
        self._model_steps = task.n_models * task.block_steps
        sizes = [2**k for k in range(task.n_models.bit_length()) if 2**k <= task.n_models] + [task.n_models]
        ways = [(size, native) for size in sizes for native in ((False, True) if self._has_kernels else (False,))]
        seconds = {way: self._seconds_of(*way) for way in ways}
        self._prepare(*min(ways, key=lambda way: seconds[way]))

    @property
    def _has_kernels(self) -> bool:
        return kernels_on(self._device) == "native"

    def _prepare(self, group: int, native: bool) -> None:
        """The products of one step of `group` models."""
        self._group = group
        self._multiply: list[tuple[Callable[[], object], int]] = []
        for p in self._products:
            left = torch.rand(group, p.rows, p.inner, device=self._device)
            right = torch.rand(group, p.inner, p.columns, device=self._device)
            out = torch.empty(group, p.rows, p.columns, device=self._device)
            product: Callable[[], object] = partial(torch.bmm, left, right, out=out)
            if native:
                program = NativeProgram(load(), lower(trace(product), group), group)
                product = partial(program, np.zeros((1, group), dtype=SETTINGS), 1)
            self._multiply.append((product, p.times))

    def _seconds_of(self, group: int, native: bool) -> float:
        """Seconds of the products of one step of one model, in groups of this size."""
        self._prepare(group, native)
        self._step()
        taken = []
        for _ in range(_TRIALS):
            begun = time.perf_counter()
            self._step()
            self._wait()
            taken.append(time.perf_counter() - begun)
        return min(taken) / group

    def _step(self) -> None:
        for product, times in self._multiply:
            for _ in range(times):
                product()

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def train_block(self) -> int:
        """The products of a block of steps; returns the number of model-steps."""
        n_groups = -(-self._model_steps // self._group)
        for _ in range(n_groups):
            self._step()
        self._wait()
        return n_groups * self._group
