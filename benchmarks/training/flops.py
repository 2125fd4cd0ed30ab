"""The matrix products that one optimizer step of one model needs, forward and backward: the lower bound of its cost.

Shapes: B batch rows, T symbols of a window, S state size, I inputs, V vocabulary.

Only products that the result depends on are counted. A one-hot symbol selects a row, which is not a product. In the
online regime, no gradient goes to the old state. The projection of an embedding is needed only once for each symbol of
the vocabulary. A window begins with a state that all its rows share. Operations other than products are not counted.
"""

from dataclasses import dataclass

from rnnlab.spec.cell_settings import GatedSettings, LinearSettings, ModelSettings, UpdateGateSettings
from rnnlab.spec.regime_settings import BpttSettings
from rnnlab.spec.run_config import RunConfig


@dataclass(frozen=True)
class Product:
    """[rows, inner] times [inner, columns], `times` times in sequence."""

    rows: int
    inner: int
    columns: int
    times: int = 1

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns * self.times


def flops(config: RunConfig, vocabulary_size: int) -> int:
    """Multiplications and additions of the products of one step of one model."""
    return sum(product.flops for product in products(config, vocabulary_size))


def products(config: RunConfig, vocabulary_size: int) -> list[Product]:
    """The products of one step of one model."""
    if isinstance(config.model, GatedSettings):
        return _gated(config.model, config.training.batch_size, vocabulary_size)
    assert isinstance(config.training, BpttSettings)
    return _recurrent(config.model, config.training, vocabulary_size)


def _linear(rows: int, inputs: int, outputs: int, towards: int) -> list[Product]:
    """A linear map: forward, gradient of the weights, gradient towards `towards` of the inputs."""
    backward = [Product(rows, outputs, towards)] if towards else []
    return [Product(rows, inputs, outputs), Product(inputs, rows, outputs), *backward]


def _gated(model: GatedSettings, B: int, V: int) -> list[Product]:
    S = model.state_size
    gated = model.use_input_gate
    n_sources = model.use_new_state + model.use_old_state + model.use_residual
    towards_c = 2 * S if gated else S  # of [x, h], h needs a gradient only if a gate produced it
    towards_y = S * (model.use_new_state + model.use_residual + (model.use_old_state and gated))
    gates = [model.use_state_gate, model.use_forget_gate].count(True)
    if model.use_new_state:
        layer = _linear(B, 2 * S, S, towards_c) + _linear(B, 3 * S, S, towards_c + S) * gates
    else:  # the parts that compute the new state do not affect this step's loss
        layer = [Product(B, 2 * S, S), *[Product(B, 3 * S, S)] * gates]
    if gated:
        learning = 2 * S if model.use_new_state else S if model.use_old_state else 0
        backward = [Product(2 * S, B, learning), Product(B, learning, S)] if learning else []
        layer += [Product(B, 2 * S, 2 * S), *backward]
    layer += _linear(B, n_sources * S, S, towards_y)
    if model.use_output_gate:
        layer += _linear(B, (1 + n_sources) * S, S, S + towards_y)
    return layer * model.n_layers + _linear(B, S, V, S)


def _recurrent(model: ModelSettings, training: BpttSettings, V: int) -> list[Product]:
    assert isinstance(model, LinearSettings | UpdateGateSettings)
    S, B, T = model.state_size, training.batch_size, training.block_size
    maps = {"rnn": [1], "gru-reset-before": [2, 1]}[model.cell]  # S-wide maps of each product with the state
    width = sum(maps) * S
    found = _linear(min(V, T * B), model.embedding_size, width, model.embedding_size)
    found += _linear(T * B, S, width, S) * (model.n_layers - 1)
    for n_maps in maps * model.n_layers:
        found += [
            Product(B, S, n_maps * S, times=T - 1),
            Product(B, n_maps * S, S, times=T - 1),
            Product(S, (T - 1) * B, n_maps * S),
        ]
    return found + _linear(T * B, S, V, S)
