"""Which exceptions mean that a device has run out of memory."""

import torch


def is_out_of_memory(error: Exception) -> bool:
    """Whether a smaller cohort might avoid this error."""
    # torch has no exception class for the memory of the CPU.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
