"""The cores and GPUs of this host. torch is imported inside the functions: light commands do without it."""

import os
import re
from typing import TYPE_CHECKING

from rnnlab.errors import UsageError

if TYPE_CHECKING:
    import torch


def usable_cores() -> int:
    """Cores of this host that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_device(name: str) -> "torch.device":
    """The device called `name`; `auto` is the first GPU where there is one, else the CPU.

    Raises UsageError for a name that is none of these or a GPU that is not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    # Not left to torch: it wraps large numbers, so that cuda:256 would be cuda:0.
    match = re.fullmatch(r"cpu|cuda(?::(\d{1,4}))?", name)
    if match is None:
        raise UsageError(f"--device {name}: give auto, cpu, cuda or cuda:N")
    if name != "cpu" and int(match[1] or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {name}: torch sees {torch.cuda.device_count()} GPUs here; --device cpu always works"
        )
    return torch.device(name)
