"""What a user's own cell needs, at a stable place: the names here keep their meaning in future versions.

    from rnnlab.cells import Cell, Parameter, State, Weights, logistic

docs/own-cell.md describes how to write a cell, and docs/examples/minimal_cell.py is one.
"""

from rnnlab.models.cells import Cell, State, Weights
from rnnlab.models.initialization import (
    Parameter,
    identity,
    orthogonal,
    small_normal,
    standard_normal,
    uniform,
    zeros,
)
from rnnlab.models.numerics import affine, logistic

__all__ = [
    "Cell",
    "Parameter",
    "State",
    "Weights",
    "affine",
    "identity",
    "logistic",
    "orthogonal",
    "small_normal",
    "standard_normal",
    "uniform",
    "zeros",
]
