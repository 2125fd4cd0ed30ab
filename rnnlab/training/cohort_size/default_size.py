"""The default number of runs to train at once, without a measurement."""

import torch

from rnnlab.spec.regime_settings import BpttSettings, OnlineSettings
from rnnlab.spec.run_config import RunConfig

# Activations of one map of a whole cohort: small enough for a core's cache, large enough to amortize the calls.
_CPU_ELEMENTS = 2**15
# The same for the online regime, with the weights of a map of three inputs: about 20 activations are alive in a step.
_CPU_ONLINE_ELEMENTS = 3 * 2**14
_KEPT_ELEMENTS = 2**25  # states of whole windows: about ten such tensors are kept for the gradients, in float32
_LARGEST_CPU_COHORT = 64
LARGEST_COHORT = 256  # on any device


def default_cohort_size(config: RunConfig, device: torch.device) -> int:
    """A cohort size that suits the device: at least 2, unless the windows of one model fill the memory."""
    per_model = config.training.batch_size * config.model.state_size
    if device.type != "cpu":
        size = LARGEST_COHORT
    elif isinstance(config.training, OnlineSettings):
        size = min(_LARGEST_CPU_COHORT, _CPU_ONLINE_ELEMENTS // (per_model + 3 * config.model.state_size**2))
    else:
        size = min(_LARGEST_CPU_COHORT, _CPU_ELEMENTS // per_model)
    return min(max(2, size), largest_cohort(config))


def largest_cohort(config: RunConfig) -> int:
    """The largest cohort size for this config on any device; at least 1."""
    if not isinstance(config.training, BpttSettings):
        return LARGEST_COHORT
    kept = config.training.batch_size * config.model.state_size * config.training.block_size * config.model.n_layers
    return max(1, min(LARGEST_COHORT, _KEPT_ELEMENTS // kept))
