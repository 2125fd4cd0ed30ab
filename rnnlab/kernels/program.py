"""A recorded function as a native program.

Shapes: M models.
"""

import ctypes
import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from rnnlab.kernels.operations import OPERATION, SETTINGS, Operation
from rnnlab.kernels.ownership import first_models


class NativeProgram:
    """Operations on fixed memory, model by model: the models' bits do not depend on each other or on the threads."""

    def __init__(self, library: ctypes.CDLL, operations: Sequence[Operation], n_models: int) -> None:
        """Raises NotNativeError where the models are not independent of each other."""
        firsts = first_models(operations, n_models)
        self._run = library.rnnlab_run
        self._operations = operations  # they keep their memory alive
        self._records = np.array(
            [one.record(first) for one, first in zip(operations, firsts, strict=True)], dtype=OPERATION
        )
        self._n_models = n_models
        self._pool: ThreadPoolExecutor | None = None

    def __call__(self, settings_M: np.ndarray, threads: int) -> None:
        """Run it once on at most `threads` threads; `settings_M` are of type SETTINGS and contiguous, one a model."""
        assert settings_M.dtype == SETTINGS
        assert settings_M.flags.c_contiguous
        pieces = min(threads, self._n_models)
        if pieces == 1:
            self._models(0, self._n_models, settings_M)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(pieces)
        cuts = [self._n_models * i // pieces for i in range(pieces + 1)]
        jobs = [self._pool.submit(self._models, *cut, settings_M) for cut in itertools.pairwise(cuts)]
        for job in jobs:
            job.result()

    def _models(self, first: int, end: int, settings_M: np.ndarray) -> None:
        self._run(self._records.ctypes.data, len(self._records), first, end, settings_M.ctypes.data)
