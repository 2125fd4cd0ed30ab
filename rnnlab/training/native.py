"""Steps of a cohort on a CPU as one native program, model by model: losses, and in training gradients and updates.

Shapes: K steps of a block, M models, U users of a parameter (some of the M).
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
from rnnlab.kernels.fusion import simplified
from rnnlab.kernels.lowering import lowered
from rnnlab.kernels.operations import SETTINGS, Code, NotNativeError, Operation, operand
from rnnlab.kernels.program import NativeProgram
from rnnlab.kernels.tracing import record
from rnnlab.models.buffer_program import runs
from rnnlab.models.logistic import in_one_piece
from rnnlab.models.numerics import Users
from rnnlab.models.recurrent.cell_scans import SCANS
from rnnlab.spec.cell_settings import GatedSettings, RecurrentSettings
from rnnlab.spec.regime_settings import TrainingSettings
from rnnlab.training.optimizer import BETA1, BETA2, CohortOptimizer
from rnnlab.training.regime import Regime


class NativeSteps:
    """The steps of one cohort: each model does several before the next one does, so that it stays in the cache."""

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
        """K steps from `first` on of those prepared, of every model.

        `data`: what the inputs hold in each of them, [K, M, ...]; `losses_KM` takes the losses.
        """
        settings_KM = self._settings_KM[first : first + len(losses_KM)]
        self._program(settings_KM, threads, [values_K.contiguous() for values_K in data], [losses_KM])


def native_steps(regime: Regime, optimizer: CohortOptimizer, trainings: Sequence[TrainingSettings]) -> NativeSteps:
    """The regime's steps; nothing is computed now.

    Raises NoKernelsError where there are no kernels, KernelsError where they lack something. It is not for this
    function to let torch do it then: that would be other bits for one cohort among others.
    """
    kept = [regime.losses, *regime.hidden]
    updates = _updates(optimizer, trainings)
    return NativeSteps(native_program(regime.compute, regime.inputs, regime.losses, kept, updates), trainings)


def native_program(
    compute: Callable[[], None],
    inputs: Sequence[Tensor],
    losses_M: Tensor,
    kept: Sequence[Tensor],
    and_then: Iterable[Operation] = (),
) -> NativeProgram:
    """What `compute` does on fixed memory, from `inputs` to `losses_M`, [M, ...], and then the other operations.

    `kept`: what else is read after a step, or written before one. Raises as `native_steps`.
    """
    library = load()
    with in_one_piece():
        calls = record(compute)
    try:
        operations = [*simplified(lowered(calls, len(losses_M)), kept), *and_then]
        return NativeProgram(library, operations, len(losses_M), inputs=inputs, outputs=[losses_M])
    except NotNativeError as error:
        raise KernelsError(
            f"the native kernels lack something that torch {torch.__version__} does in a step ({error}): "
            "please report it; RNNLAB_KERNELS=torch does without them"
        ) from error


def arithmetic_of(model: GatedSettings | RecurrentSettings, device: torch.device) -> str:
    """What does the arithmetic of this model on this device: `native` kernels or `torch`."""
    built_in = isinstance(model, GatedSettings) or model.cell in SCANS
    return kernels_on(device) if built_in else "torch"


def _corrections(steps_done: int, n_steps: int) -> tuple[list[float], list[float]]:
    """What Adam divides its moments by in the K updates after `steps_done`: 1 - beta1^t, the root of 1 - beta2^t."""
    updates = range(steps_done + 1, steps_done + n_steps + 1)
    return [1 - BETA1**t for t in updates], [math.sqrt(1 - BETA2**t) for t in updates]


def _updates(optimizer: CohortOptimizer, trainings: Sequence[TrainingSettings]) -> Iterator[Operation]:
    """What `CohortOptimizer.update` does, for each model with settings of its own."""
    squares_M1 = torch.zeros(len(trainings), 1, dtype=torch.float64)
    parts = [part for users, tensors in optimizer.tensors() for part in _runs(users, tensors)]
    if any(one.clip_norm for one in trainings):
        yield _update(Code.ADD_SQUARES, squares_M1, squares_M1, size=0)
        for run, _, gradient, *_ in parts:
            yield _update(Code.ADD_SQUARES, squares_M1[run], gradient, alpha=1.0)
        for run, _, gradient, *_ in parts:
            yield _update(Code.CLIP, gradient, squares_M1[run])
    for _, parameter, gradient, *moments in parts:
        if trainings[0].optimizer == "sgd":
            yield _update(Code.SGD, parameter, gradient)
        else:
            yield _update(Code.ADAM, parameter, gradient, *moments, alpha=float(trainings[0].optimizer == "adamw"))


def _runs(users: Users, tensors: Sequence[Tensor]) -> Iterator[tuple[Any, ...]]:
    """Of each run of neighbours among the users: the run as a slice of models, and its rows of the tensors, [U, n]."""
    for run in runs(users.members):
        first = users.members.index(run[0])
        yield slice(run[0], run[-1] + 1), *(tensor.flatten(1)[first : first + len(run)] for tensor in tensors)


def _update(code: Code, *tensors: Tensor, size: int | None = None, alpha: float = 0.0) -> Operation:
    """An operation on tensors [U, n] of numbers, or of one sum of squares a model."""
    numbers = max(tensor.shape[1] for tensor in tensors) if size is None else size
    operands = [replace(operand(tensor, tensor.dtype), step=(0, 0, 1)) for tensor in tensors]
    return Operation(code, len(tensors[0]), (1, 1, numbers), tuple(operands), alpha)
