"""A traced function as a native program.

Shapes: K steps of a block, M models.
"""

import ctypes
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from torch import Tensor

from rnnlab.kernels.operations import BLOCK, EXCHANGE, OPERATION, SETTINGS, Operation
from rnnlab.kernels.partition import partition


class NativeProgram:
    """Operations on fixed memory, run model by model: a model's bits depend neither on other models nor on threads."""

    def __init__(
        self,
        library: ctypes.CDLL,
        operations: Sequence[Operation],
        n_models: int,
        *,
        inputs: Sequence[Tensor] = (),
        outputs: Sequence[Tensor] = (),
    ) -> None:
        """`inputs`, `outputs`: buffers [M, ...]; inputs are filled before each step, outputs are read after it.

        Raises UnsupportedOperationError if the models are not independent of each other.
        """
        firsts = partition(operations, n_models)
        self._run = library.rnnlab_run
        self._operations = operations  # keeps the tensors' memory alive
        self._packed = np.array(
            [one.packed(first) for one, first in zip(operations, firsts, strict=True)], dtype=OPERATION
        )
        self._n_models = n_models
        self._inputs, self._outputs = inputs, outputs
        self._pool: ThreadPoolExecutor | None = None

    def __call__(
        self, settings_KM: np.ndarray, threads: int, data: Sequence[Tensor] = (), results: Sequence[Tensor] = ()
    ) -> None:
        """Run K steps on at most `threads` threads.

        `settings_KM` has the type SETTINGS. `data` are the inputs and `results` takes the outputs of every step and
        model, [K, M, ...] each. All of them are contiguous.
        """
        assert settings_KM.dtype == SETTINGS
        assert settings_KM.flags.c_contiguous
        n_steps, n_models = settings_KM.shape
        assert n_models == self._n_models
        inputs, outputs = _exchanges(self._inputs, data, n_steps), _exchanges(self._outputs, results, n_steps)
        addresses = (settings_KM.ctypes.data, inputs.ctypes.data, outputs.ctypes.data)
        block = np.array((n_models, n_steps, *addresses, len(inputs), len(outputs)), dtype=BLOCK)
        n_shares = min(threads, n_models)
        if n_shares == 1:
            self._run_models(0, n_models, block)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(n_shares)
        bounds = [n_models * i // n_shares for i in range(n_shares + 1)]
        shares = [self._pool.submit(self._run_models, *pair, block) for pair in itertools.pairwise(bounds)]
        for share in shares:
            share.result()

    def _run_models(self, first: int, end: int, block: np.ndarray) -> None:
        self._run(self._packed.ctypes.data, len(self._packed), first, end, block.ctypes.data)


def _exchanges(buffers: Sequence[Tensor], tables_K: Sequence[Tensor], n_steps: int) -> np.ndarray:
    """Each buffer [M, ...] with its table [K, M, ...], as records of the type EXCHANGE."""
    for buffer, table_K in zip(buffers, tables_K, strict=True):
        assert table_K.shape == (n_steps, *buffer.shape)
        assert table_K.dtype == buffer.dtype
        assert table_K.is_contiguous()
        assert buffer.is_contiguous()
    pairs = [
        (buffer.data_ptr(), table_K.data_ptr(), buffer[0].numel() * buffer.element_size())
        for buffer, table_K in zip(buffers, tables_K, strict=True)
    ]
    return np.array(pairs, dtype=EXCHANGE)
