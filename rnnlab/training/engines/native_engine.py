"""Steps of a cohort on a CPU as one native program: losses, and in training gradients and updates.

Shapes: K steps of a block, M models, U models of a subset.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnlab.errors import KernelsError
from rnnlab.kernels.build import kernels_on, load
from rnnlab.kernels.fusion import fuse
from rnnlab.kernels.lowering import lower
from rnnlab.kernels.operations import SETTINGS, Code, Operation, UnsupportedOperationError, operand
from rnnlab.kernels.program import NativeProgram
from rnnlab.kernels.tracing import trace
from rnnlab.models.logistic import as_single_operations
from rnnlab.models.model_subset import ModelSubset, contiguous_ranges
from rnnlab.models.recurrent.cell_scans import SCANS
from rnnlab.spec.cell_settings import GatedSettings, RecurrentSettings
from rnnlab.spec.regime_settings import TrainingSettings
from rnnlab.training.optimizer import BETA1, BETA2, CohortOptimizer
from rnnlab.training.regime import Regime


class NativeEngine:
    """Runs the steps of one cohort: several steps of a model, then of the next one, so that each stays in the cache."""

    def __init__(self, program: NativeProgram, trainings: Sequence[TrainingSettings]) -> None:
        self._program = program
        self._trainings = trainings
        self._settings_KM = np.zeros((0, 0), dtype=SETTINGS)

    def plan(self, steps_done: Sequence[int], n_steps: int) -> None:
        """Prepare the next `n_steps` updates; `steps_done` counts each model's updates so far."""
        self._settings_KM = np.empty((n_steps, len(self._trainings)), dtype=SETTINGS)
        corrections = {done: _corrections(done, n_steps) for done in set(steps_done)}
        for settings_K, training, done in zip(self._settings_KM.T, self._trainings, steps_done, strict=True):
            settings_K["rate"] = [training.learning_rate_at(done + k) for k in range(n_steps)]
            settings_K["decay"] = training.weight_decay
            settings_K["correction1"], settings_K["correction2"] = corrections[done]
            settings_K["clip_norm"] = training.clip_norm or math.inf

    def __call__(self, first: int, data: Sequence[Tensor], losses_KM: Tensor, threads: int) -> None:
        """Do K of the prepared steps, from `first` on, for every model.

        `data`: the contents of the inputs in each step, [K, M, ...]; `losses_KM` takes the losses.
        """
        settings_KM = self._settings_KM[first : first + len(losses_KM)]
        self._program(settings_KM, threads, [values_K.contiguous() for values_K in data], [losses_KM])


def native_engine(regime: Regime, optimizer: CohortOptimizer, trainings: Sequence[TrainingSettings]) -> NativeEngine:
    """The engine for the regime's steps. Nothing is computed yet.

    Raises NoKernelsError if there are no kernels, and KernelsError if they lack an operation. In that case torch must
    not take over: the bits of one cohort would differ from those of others.
    """
    kept = [regime.losses, *regime.hidden]
    updates = _updates(optimizer, trainings)
    return NativeEngine(native_program(regime.compute, regime.inputs, regime.losses, kept, updates), trainings)


def native_program(
    compute: Callable[[], None],
    inputs: Sequence[Tensor],
    losses_M: Tensor,
    kept: Sequence[Tensor],
    updates: Iterable[Operation] = (),
) -> NativeProgram:
    """`compute`, which goes on fixed memory from `inputs` to `losses_M`, [M, ...], and `updates`, as one program.

    `kept`: all tensors that are read after a step or written before one. Raises the errors of `native_engine`.
    """
    library = load()
    with as_single_operations():
        calls = trace(compute)
    try:
        operations = [*fuse(lower(calls, len(losses_M)), kept), *updates]
        return NativeProgram(library, operations, len(losses_M), inputs=inputs, outputs=[losses_M])
    except UnsupportedOperationError as error:
        raise KernelsError(
            f"the native kernels do not support a training step of torch {torch.__version__} ({error}): "
            "please report this; set RNNLAB_KERNELS=torch to train without them"
        ) from error


def arithmetic_of(model: GatedSettings | RecurrentSettings, device: torch.device) -> str:
    """What computes this model on this device: `native` (the kernels) or `torch`."""
    built_in = isinstance(model, GatedSettings) or model.cell in SCANS
    return kernels_on(device) if built_in else "torch"


def _corrections(steps_done: int, n_steps: int) -> tuple[list[float], list[float]]:
    """Adam's bias corrections in the K updates after `steps_done`: 1 - beta1^t, and the square root of 1 - beta2^t."""
    updates = range(steps_done + 1, steps_done + n_steps + 1)
    return [1 - BETA1**t for t in updates], [math.sqrt(1 - BETA2**t) for t in updates]


def _updates(optimizer: CohortOptimizer, trainings: Sequence[TrainingSettings]) -> Iterator[Operation]:
    """The operations of `CohortOptimizer.update`, with settings for each model."""
    squares_M1 = torch.zeros(len(trainings), 1, dtype=torch.float64)
    parts = [part for subset, tensors in optimizer.tensors() for part in _range_slices(subset, tensors)]
    if any(one.clip_norm for one in trainings):
        yield _update(Code.ADD_SQUARES, squares_M1, squares_M1, size=0)
        for models, _, gradient, *_ in parts:
            yield _update(Code.ADD_SQUARES, squares_M1[models], gradient, alpha=1.0)
        for models, _, gradient, *_ in parts:
            yield _update(Code.CLIP, gradient, squares_M1[models])
    for _, parameter, gradient, *moments in parts:
        if trainings[0].optimizer == "sgd":
            yield _update(Code.SGD, parameter, gradient)
        else:
            yield _update(Code.ADAM, parameter, gradient, *moments, alpha=float(trainings[0].optimizer == "adamw"))


def _range_slices(subset: ModelSubset, tensors: Sequence[Tensor]) -> Iterator[tuple[Any, ...]]:
    """For each range of consecutive models: the range as a slice, and its part of each tensor, [U, numbers]."""
    for models in contiguous_ranges(subset.members):
        first = subset.members.index(models[0])
        parts = (tensor.flatten(1)[first : first + len(models)] for tensor in tensors)
        yield slice(models[0], models[-1] + 1), *parts


def _update(code: Code, *tensors: Tensor, size: int | None = None, alpha: float = 0.0) -> Operation:
    """An operation on tensors [U, numbers], or [U, 1] for the sums of squares."""
    n_numbers = max(tensor.shape[1] for tensor in tensors) if size is None else size
    operands = [replace(operand(tensor, tensor.dtype), strides=(0, 0, 1)) for tensor in tensors]
    return Operation(code, len(tensors[0]), (1, 1, n_numbers), tuple(operands), alpha)
