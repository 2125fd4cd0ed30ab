"""The cores and GPUs of this host. Functions import torch themselves, because many commands do not need it."""

import os
import re
from typing import TYPE_CHECKING

from rnnlab.errors import UsageError

if TYPE_CHECKING:
    import torch


def usable_cores() -> int:
    """The number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_device(name: str) -> "torch.device":
    """The device called `name`; `auto` is the first GPU if there is one, otherwise the CPU.

    Raises UsageError for an invalid name or a GPU that does not exist.
    """
    import torch

    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    # Not parsed by torch, which wraps large numbers: cuda:256 would be cuda:0.
    match = re.fullmatch(r"cpu|cuda(?::(\d{1,4}))?", name)
    if match is None:
        raise UsageError(f"--device {name}: give auto, cpu, cuda or cuda:N")
    if name != "cpu" and int(match[1] or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device {name}: torch finds {torch.cuda.device_count()} GPUs on this host: give another device, or cpu"
        )
    return torch.device(name)
