"""Initial parameters as a pure function of (seed, parameter name): the same in every cohort and on every device."""

import hashlib
import math
from collections.abc import Mapping

import torch
from torch import Tensor


def keyed_generator(*key: object) -> torch.Generator:
    """A CPU generator whose stream depends on the key alone."""
    digest = hashlib.sha256("/".join(str(part) for part in ("rnnlab", *key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def initial_parameters(
    shapes: Mapping[str, tuple[tuple[int, ...], int]], seed: int, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Parameters drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), the default of torch.nn.Linear, weights and biases.

    `shapes` maps a parameter's name to (shape, fan_in).
    """
    parameters = {}
    for name, (shape, fan_in) in shapes.items():
        bound = 1 / math.sqrt(fan_in)
        drawn = torch.empty(shape, dtype=torch.float32).uniform_(
            -bound, bound, generator=keyed_generator("parameter", seed, name)
        )
        parameters[name] = drawn.to(dtype)
    return parameters
