"""The floor: the matrix products of the steps and nothing else, as fast as torch makes them.

Shapes: G models that are multiplied at once, some of the M models.
"""

import time

import torch

from benchmarks.training.flops import products
from benchmarks.training.task import Task

_TRIALS = 5


class Floor:
    """Batched products over G models, group after group, with the G that is the fastest.

    All groups work on the same numbers: with a small G they stay in the cache, as nothing that trains could keep them.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self._device, self._products = device, products(task.config, task.vocabulary_size)
        self._model_steps = task.n_models * task.block_steps
        sizes = [2**k for k in range(task.n_models.bit_length()) if 2**k <= task.n_models] + [task.n_models]
        seconds = {size: self._seconds_of(size) for size in sizes}
        self._allocate(min(sizes, key=lambda size: seconds[size]))

    def _allocate(self, group: int) -> None:
        self._group = group
        self._operands = [
            (
                torch.rand(group, p.rows, p.inner, device=self._device),
                torch.rand(group, p.inner, p.columns, device=self._device),
                torch.empty(group, p.rows, p.columns, device=self._device),
                p.times,
            )
            for p in self._products
        ]

    def _seconds_of(self, group: int) -> float:
        """Of the products of one step of one model, in such groups."""
        self._allocate(group)
        self._multiply()
        taken = []
        for _ in range(_TRIALS):
            begun = time.perf_counter()
            self._multiply()
            self._wait()
            taken.append(time.perf_counter() - begun)
        return min(taken) / group

    def _multiply(self) -> None:
        for left, right, out, times in self._operands:
            for _ in range(times):
                torch.bmm(left, right, out=out)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def train_block(self) -> int:
        """The products of a block of steps; returns the number of model-steps."""
        n_groups = -(-self._model_steps // self._group)
        for _ in range(n_groups):
            self._multiply()
        self._wait()
        return n_groups * self._group
