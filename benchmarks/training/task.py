"""The input of all contenders of a case: the same initial weights and the same batches as in rnnlab.

Shapes: K steps one after the other, M models, B batch rows, T symbols of a window, V vocabulary.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from benchmarks.training.cases import Case
from rnnlab.spec.regime_settings import BpttSettings, OnlineSettings
from rnnlab.spec.run_config import RunConfig, run_config_from_json

if TYPE_CHECKING:
    from torch import Tensor

Array = npt.NDArray[Any]
N_TOKENS = 100_000  # of the text
_LAID_OUT_BYTES = 2**24  # of batches; after the last one, the first one is used again


@dataclass(frozen=True)
class Task:
    """Weights and batches. In numpy, so that a contender without torch can read them."""

    config: RunConfig  # of model 0; the other models have other seeds
    vocabulary_size: int
    block_steps: int
    weights: dict[str, Array]  # name -> [M, ...], as rnnlab's states name them; a weight is [inputs, outputs]
    inputs: Array  # symbols, [K, M, B] online, [K, M, B, T] with BPTT
    targets: Array
    starts: Array  # bool [K]: the state is zero before this step (online)

    @property
    def n_models(self) -> int:
        """M."""
        return int(self.inputs.shape[1])

    @property
    def n_blocks(self) -> int:
        """Number of stored blocks of `block_steps` steps."""
        return len(self.inputs) // self.block_steps

    def block(self, index: int) -> tuple[Array, Array, Array]:
        """Inputs, targets and starts of a block; the index wraps around."""
        first = index % self.n_blocks * self.block_steps
        rows = slice(first, first + self.block_steps)
        return self.inputs[rows], self.targets[rows], self.starts[rows]

    def write(self, path: Path) -> None:
        """Write it as a numpy file."""
        named = {f"weights/{name}": value for name, value in self.weights.items()}
        about = np.array([self.config.canonical_json, str(self.vocabulary_size), str(self.block_steps)])
        batches = {"inputs": self.inputs, "targets": self.targets, "starts": self.starts}
        arrays: dict[str, Any] = {"about": about, **batches, **named}
        np.savez(path, **arrays)


def read_task(path: Path) -> Task:
    """Read a file written by `Task.write`."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    config, vocabulary_size, block_steps = arrays["about"].tolist()
    return Task(
        run_config_from_json(config),
        int(vocabulary_size),
        int(block_steps),
        {name.removeprefix("weights/"): value for name, value in arrays.items() if name.startswith("weights/")},
        arrays["inputs"],
        arrays["targets"],
        arrays["starts"],
    )


def make_task(case: Case, device: str = "cpu") -> Task:
    """The initial weights and the first batches of rnnlab."""
    from rnnlab.training.run_state import fresh_state

    block_steps = case.block_steps(device)
    configs = [case.member(m) for m in range(case.n_models)]
    states = [fresh_state(config, case.vocabulary_size) for config in configs]
    weights = {name: np.stack([state.parameters[name].numpy() for state in states]) for name in states[0].parameters}
    training = case.config.training
    length = training.block_size if isinstance(training, BpttSettings) else 1
    per_block = block_steps * case.n_models * training.batch_size * length
    n_steps = block_steps * max(1, min(20, _LAID_OUT_BYTES // per_block))
    tokens = text(case.vocabulary_size)
    pairs = [batches(config, tokens, n_steps) for config in configs]
    inputs, targets = (np.stack([pair[i] for pair in pairs], axis=1) for i in (0, 1))
    starts = starts_of(case.config, n_steps)
    return Task(case.config, case.vocabulary_size, block_steps, weights, inputs, targets, starts)


def starts_of(config: RunConfig, n_steps: int) -> Array:
    """Bool [K]: whether the state is zero before a step, at the start of each window in the online regime."""
    starts = np.zeros(n_steps, dtype=bool)
    if isinstance(config.training, OnlineSettings):
        starts[:: config.training.steps_per_window] = True
    return starts


def text(vocabulary_size: int) -> "Tensor":
    """Symbols with a simple structure that can be learned: a walk with steps of 0 to 3, uint8."""
    import torch

    generator = torch.Generator().manual_seed(1)
    walk = torch.randint(0, 4, (N_TOKENS,), generator=generator).cumsum(0)
    return (walk % vocabulary_size).to(torch.uint8)


def batches(config: RunConfig, tokens: "Tensor", n_steps: int) -> tuple[Array, Array]:
    """Inputs and targets of the first steps of one run: uint8 [K, B] online, [K, B, T] with BPTT."""
    import torch

    from rnnlab.data.batches import window_positions, windows

    training = config.training
    per_window = training.steps_per_window if isinstance(training, OnlineSettings) else 1
    found = []
    for index in range(-(-n_steps // per_window)):
        positions_B = window_positions(config.seed, index, training.batch_size, len(tokens), training.span)
        found.append(windows(tokens, positions_B, training.span))
    if isinstance(training, OnlineSettings):
        inputs = torch.cat([window_BW[:, :-1].T for window_BW in found])
        targets = torch.cat([window_BW[:, 1:].T for window_BW in found])
        return inputs[:n_steps].numpy(), targets[:n_steps].numpy()
    assert training.sampling == "random"
    windows_KBW = torch.stack(found)
    return windows_KBW[:, :, :-1].numpy(), windows_KBW[:, :, 1:].numpy()
