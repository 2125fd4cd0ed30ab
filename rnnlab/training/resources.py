"""What a run needs: memory, arithmetic and threads."""

from rnnlab.devices import usable_cores
from rnnlab.models.factory import count_parameters
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.spec.run_config import RunConfig

_LEAST_SHARED_ELEMENTS = 2**15  # activations of one map of one model, from which several threads pay
_BYTES = 4  # of a float32


def model_bytes(config: RunConfig, vocabulary_size: int) -> int:
    """The approximate memory of one model of a cohort in training; an overestimate rather than an underestimate."""
    rows = symbols_per_step(config)
    activations = rows * (20 * config.model.state_size * config.model.n_layers + 4 * vocabulary_size)
    # Weights, gradients, two moments, and the optimizer's temporaries.
    return _BYTES * (activations + 6 * count_parameters(config.model, vocabulary_size))


def step_flops(config: RunConfig, vocabulary_size: int) -> float:
    """The approximate floating-point operations of an optimizer step: 6 for each parameter and symbol."""
    return 6.0 * count_parameters(config.model, vocabulary_size) * symbols_per_step(config)


def symbols_per_step(config: RunConfig) -> int:
    """The symbols that one optimizer step predicts, or reads to predict the last one."""
    block = config.training.block_size if isinstance(config.training, BpttSettings) else 1
    return config.training.batch_size * block


def threads_for(config: RunConfig, live_workers: int) -> int:
    """The number of threads for this config's products: the usable cores divided among this host's live workers.

    Small products are faster on one thread: sharing them costs more than it saves. Oversubscribed cores are many times
    slower.
    """
    if config.training.batch_size * config.model.state_size < _LEAST_SHARED_ELEMENTS:
        return 1
    return max(1, usable_cores() // max(1, live_workers))
