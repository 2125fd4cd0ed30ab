"""The place from which cells that are stored in job tables import `Parameter`. New cells import from `rnnlab.cells`."""

from rnnlab.models.initialization import (
    Draw,
    Parameter,
    identity,
    initial_parameters,
    keyed_generator,
    orthogonal,
    small_normal,
    standard_normal,
    uniform,
    zeros,
)

__all__ = [
    "Draw",
    "Parameter",
    "identity",
    "initial_parameters",
    "keyed_generator",
    "orthogonal",
    "small_normal",
    "standard_normal",
    "uniform",
    "zeros",
]
