"""Initial parameters as a pure function of (seed, parameter name): the same in every cohort and on every device."""

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from rnnlab.models.numerics import one_thread


def keyed_generator(*key: object) -> torch.Generator:
    """A CPU generator whose random numbers depend on the key alone."""
    digest = hashlib.sha256("/".join(str(part) for part in ("rnnlab", *key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


# (shape, fan_in, generator) -> float32 on the CPU
Draw = Callable[[tuple[int, ...], int, torch.Generator], Tensor]


def uniform(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """U(-1/sqrt(fan_in), 1/sqrt(fan_in)): torch.nn.Linear's default for weights and biases, and nn.RNN's."""
    bound = 1 / math.sqrt(fan_in)
    return torch.empty(shape, dtype=torch.float32).uniform_(-bound, bound, generator=generator)


def standard_normal(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """N(0, 1): torch.nn.Embedding's default."""
    return torch.empty(shape, dtype=torch.float32).normal_(generator=generator)


def small_normal(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """N(0, 0.01), standard deviation 0.01: the weights of the networks from scratch in Dive into Deep Learning."""
    return torch.empty(shape, dtype=torch.float32).normal_(0, 0.01, generator=generator)


def zeros(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """Zeros."""
    return torch.zeros(shape, dtype=torch.float32)


def identity(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """The identity for each block of [S, k S], one block a gate (Le, Jaitly and Hinton 2015)."""
    return torch.eye(shape[0], dtype=torch.float32).repeat(1, shape[1] // shape[0])


def orthogonal(shape: tuple[int, ...], fan_in: int, generator: torch.Generator) -> Tensor:
    """A random rotation or reflection, uniform over all of them, for each block of [S, k S] (Saxe et al. 2014)."""
    size = shape[0]
    blocks = []
    with one_thread():  # with several threads the decomposition has other bits
        for _ in range(shape[1] // size):
            q, r = torch.linalg.qr(torch.empty(size, size, dtype=torch.float64).normal_(generator=generator))
            blocks.append(q * r.diagonal().sign())
    return torch.cat(blocks, dim=1).to(torch.float32)


class Parameter(NamedTuple):
    """The shape and the initial distribution of one parameter of one model."""

    shape: tuple[int, ...]
    fan_in: int  # inputs of the whole map that the parameter is a part of; > 0
    draw: Draw = uniform  # draws the initial values


def initial_parameters(
    parameters: Mapping[str, Parameter], seed: int, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """The initial values of each parameter, each drawn from its own generator."""
    return {
        name: one.draw(one.shape, one.fan_in, keyed_generator("parameter", seed, name)).to(dtype)
        for name, one in parameters.items()
    }
