"""Steps that are captured once and replayed: on a GPU a step's many small kernels cost more to launch than to run."""

import warnings
from collections.abc import Callable, Hashable
from typing import Any

import torch

_FIRST_CALLS = 3  # done as they are: libraries make their workspaces, kernels are loaded


class Replay:
    """Runs a function that does the same operations on the same memory each time, without waiting for the device.

    On a GPU it is captured in a CUDA graph after its first calls, and replayed from then on; elsewhere it is called.
    What is captured must not change until the next capture: Python numbers in it (a learning rate) are part of it, so
    each kind of call has a graph of its own.
    """

    def __init__(self, device: torch.device, *, can_capture: bool) -> None:
        self._device = device
        self._captures = can_capture and device.type == "cuda"
        self._calls = 0
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None  # memory of what a call makes and lets go: the graphs share it

    def __call__(self, kind: Hashable, function: Callable[[], None]) -> None:
        """Do what `function` does; `kind` is equal for calls that do the same."""
        self._calls += 1
        if not self._captures or self._calls <= _FIRST_CALLS:
            function()
            return
        if kind not in self._graphs and not self._capture(kind, function):
            function()
            return
        self._graphs[kind].replay()

    def _capture(self, kind: Hashable, function: Callable[[], None]) -> bool:
        """Record the operations, which does not do them. False where that cannot be done."""
        graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize(self._device)
        try:
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            with torch.cuda.device(self._device), torch.cuda.graph(graph, pool=self._pool):
                function()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._captures = False
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            warnings.warn(f"training steps are not captured in a CUDA graph: slower ({reason})", stacklevel=2)
            return False
        self._graphs[kind] = graph
        return True
