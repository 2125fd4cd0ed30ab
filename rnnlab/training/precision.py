"""The precision of matrix products."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from rnnlab.spec.regime_settings import Precision


@contextmanager
def products_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """A context that sets the precision of float32 products: IEEE, or on a GPU factors rounded to TF32 (10 bits)."""
    if device.type != "cuda":
        yield
        return
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before
