"""How many runs to train at once, and with how many threads."""

import torch

from rnnlab.devices import usable_cores
from rnnlab.models.factory import count_parameters
from rnnlab.spec.regime_settings import BpttSettings, OnlineSettings
from rnnlab.spec.run_config import RunConfig

# Activations of one map of a whole cohort: small enough to stay in a core's cache, large enough to amortise the calls.
_CPU_ELEMENTS = 2**15
# The same in the online regime, with the weights of a map of three inputs: some 20 activations are alive in a step.
_CPU_ONLINE_ELEMENTS = 3 * 2**14
_LEAST_SHARED_ELEMENTS = 2**15  # activations of one map of one model
_KEPT_ELEMENTS = 2**25  # states of whole windows: ten or so such tensors are kept for the gradients, in float32
_LARGEST_CPU_COHORT = 64
LARGEST_COHORT = 256  # on any device
_BYTES = 4  # float32


def cohort_size(config: RunConfig, device: torch.device) -> int:
    """A cohort size that suits the device, unmeasured: at least 2, unless the windows of one model fill the memory."""
    per_model = config.training.batch_size * config.model.state_size
    if device.type != "cpu":
        size = LARGEST_COHORT
    elif isinstance(config.training, OnlineSettings):
        size = min(_LARGEST_CPU_COHORT, _CPU_ONLINE_ELEMENTS // (per_model + 3 * config.model.state_size**2))
    else:
        size = min(_LARGEST_CPU_COHORT, _CPU_ELEMENTS // per_model)
    return min(max(2, size), largest_cohort(config))


def largest_cohort(config: RunConfig) -> int:
    """The size that no cohort of this config should exceed on any device; at least 1."""
    if not isinstance(config.training, BpttSettings):
        return LARGEST_COHORT
    kept = config.training.batch_size * config.model.state_size * config.training.block_size * config.model.n_layers
    return max(1, min(LARGEST_COHORT, _KEPT_ELEMENTS // kept))


def model_bytes(config: RunConfig, vocabulary_size: int) -> int:
    """About how much memory each model of a cohort takes in training, rather too much than too little."""
    rows = symbols_per_step(config)
    activations = rows * (20 * config.model.state_size * config.model.n_layers + 4 * vocabulary_size)
    # Weights, gradients, two moments, and the optimiser's temporaries.
    return _BYTES * (activations + 6 * count_parameters(config.model, vocabulary_size))


def step_flops(config: RunConfig, vocabulary_size: int) -> float:
    """About how many floating-point operations an optimiser step takes: 6 for each parameter and symbol."""
    return 6.0 * count_parameters(config.model, vocabulary_size) * symbols_per_step(config)


def symbols_per_step(config: RunConfig) -> int:
    """Symbols that one optimiser step predicts, or reads to predict the last."""
    block = config.training.block_size if isinstance(config.training, BpttSettings) else 1
    return config.training.batch_size * block


def threads_for(config: RunConfig, live_workers: int) -> int:
    """Threads for products of this config's size: this host's usable cores shared out among its live workers.

    Small products are faster on one thread: there is less to share out than it costs. Oversubscribed cores are many
    times slower.
    """
    if config.training.batch_size * config.model.state_size < _LEAST_SHARED_ELEMENTS:
        return 1
    return max(1, usable_cores() // max(1, live_workers))


def is_out_of_memory(error: Exception) -> bool:
    """Whether a smaller cohort might not have raised this."""
    # torch has no exception of its own for the memory of the CPU.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
