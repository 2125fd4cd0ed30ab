"""A recorded function as a native program.

Shapes: K steps, M models.
"""

import ctypes
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from torch import Tensor

from rnnlab.kernels.operations import BLOCK, EXCHANGE, OPERATION, SETTINGS, Operation
from rnnlab.kernels.partition import first_models


class NativeProgram:
    """Operations on fixed memory, model by model: the models' bits do not depend on each other or on the threads."""

    def __init__(
        self,
        library: ctypes.CDLL,
        operations: Sequence[Operation],
        n_models: int,
        *,
        inputs: Sequence[Tensor] = (),
        outputs: Sequence[Tensor] = (),
    ) -> None:
        """`inputs`, `outputs`: buffers [M, ...] that are filled before each step, and read after it.

        Raises NotNativeError where the models are not independent of each other.
        """
        firsts = first_models(operations, n_models)
        self._run = library.rnnlab_run
        self._operations = operations  # they keep their memory alive
        self._records = np.array(
            [one.record(first) for one, first in zip(operations, firsts, strict=True)], dtype=OPERATION
        )
        self._n_models = n_models
        self._inputs, self._outputs = inputs, outputs
        self._pool: ThreadPoolExecutor | None = None

    def __call__(
        self, settings_KM: np.ndarray, threads: int, data: Sequence[Tensor] = (), results: Sequence[Tensor] = ()
    ) -> None:
        """Run it K times on at most `threads` threads.

        `settings_KM` are of type SETTINGS; `data` has the inputs and `results` takes the outputs of each step and
        model, [K, M, ...] each. All are contiguous.
        """
        assert settings_KM.dtype == SETTINGS
        assert settings_KM.flags.c_contiguous
        n_steps, n_models = settings_KM.shape
        assert n_models == self._n_models
        inputs, outputs = _exchanges(self._inputs, data, n_steps), _exchanges(self._outputs, results, n_steps)
        addresses = (settings_KM.ctypes.data, inputs.ctypes.data, outputs.ctypes.data)
        block = np.array((n_models, n_steps, *addresses, len(inputs), len(outputs)), dtype=BLOCK)
        pieces = min(threads, n_models)
        if pieces == 1:
            self._models(0, n_models, block)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(pieces)
        cuts = [n_models * i // pieces for i in range(pieces + 1)]
        jobs = [self._pool.submit(self._models, *cut, block) for cut in itertools.pairwise(cuts)]
        for job in jobs:
            job.result()

    def _models(self, first: int, end: int, block: np.ndarray) -> None:
        self._run(self._records.ctypes.data, len(self._records), first, end, block.ctypes.data)


def _exchanges(buffers: Sequence[Tensor], tables_K: Sequence[Tensor], n_steps: int) -> np.ndarray:
    """Each buffer [M, ...] with its table [K, M, ...]."""
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
