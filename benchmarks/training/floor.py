"""The floor: the matrix products of the steps and nothing else, as fast as torch makes them.

Shapes: M models.
"""

import time

import torch

from benchmarks.training.flops import products
from benchmarks.training.task import Task

_TRIALS = 3


class Floor:
    """Batched products over M models, or one after the other where that is faster."""

    def __init__(self, task: Task, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self._products = []
        M = task.n_models
        for p in products(task.config, task.vocabulary_size):
            left = torch.rand(M, p.rows, p.inner, generator=generator).to(device)
            right = torch.rand(M, p.inner, p.columns, generator=generator).to(device)
            self._products.append((left, right, torch.empty(M, p.rows, p.columns, device=device), p.times))
        self._n_models = M
        self._block_steps = task.block_steps
        self._batched = True
        seconds = {batched: self._try(batched) for batched in (True, False)}
        self._batched = seconds[True] <= seconds[False]

    def _try(self, batched: bool) -> float:
        self._batched = batched
        self._step()
        taken = []
        for _ in range(_TRIALS):
            begun = time.perf_counter()
            self._step()
            taken.append(time.perf_counter() - begun)
        return min(taken)

    def _step(self) -> None:
        for left, right, out, times in self._products:
            for _ in range(times):
                if self._batched:
                    torch.bmm(left, right, out=out)
                else:
                    for m in range(self._n_models):
                        torch.mm(left[m], right[m], out=out[m])
        if out.is_cuda:
            torch.cuda.synchronize()

    def train_block(self) -> int:
        """The products of a block of steps; returns the number of model-steps."""
        for _ in range(self._block_steps):
            self._step()
        return self._block_steps * self._n_models
