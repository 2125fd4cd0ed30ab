"""Capture and replay of steps: on a GPU the many small kernels of a step cost more to launch than to run."""

import warnings
from collections.abc import Callable, Hashable
from typing import Any

import torch

_WARM_UP_CALLS = 3  # not captured: libraries allocate their workspaces, kernels are loaded


class Replay:
    """Runs a function that does the same operations on the same memory each time, without waiting for the device.

    On a GPU the function is captured in a CUDA graph after the first calls, and replayed from then on; on other devices
    it is called. A captured function must not change: Python numbers in it (a learning rate) are part of the graph, so
    each kind of call has its own graph.
    """

    def __init__(self, device: torch.device, *, can_capture: bool) -> None:
        self._device = device
        self._captures = can_capture and device.type == "cuda"
        self._calls = 0
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._pool: Any = None  # memory for temporaries of the calls, shared by the graphs

    def __call__(self, kind: Hashable, function: Callable[[], None]) -> None:
        """Run `function`. `kind` is equal for calls that do the same."""
        self._calls += 1
        if not self._captures or self._calls <= _WARM_UP_CALLS:
            function()
            return
        if kind not in self._graphs and not self._capture(kind, function):
            function()
            return
        self._graphs[kind].replay()

    def _capture(self, kind: Hashable, function: Callable[[], None]) -> bool:
        """Capture the operations without running them. False if the capture fails."""
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
            warnings.warn(f"training steps cannot be captured in a CUDA graph and are slower: {reason}", stacklevel=2)
            return False
        self._graphs[kind] = graph
        return True
