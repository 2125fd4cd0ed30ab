"""Text from a trained model.

Shapes: M = 1 model, B = 1 row, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from rnnlab.data.tokenizer import Tokenizer
from rnnlab.errors import UsageError
from rnnlab.models.initialise import keyed_generator
from rnnlab.models.registry import CohortModel, make_cohort
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.run_state import RunState


@torch.no_grad()
def sample(
    config: RunConfig,
    state: RunState,
    tokenizer: Tokenizer,
    *,
    prime: Sequence[int],
    length: int,
    temperature: float,
    seed: int,
) -> Iterator[int]:
    """Ids drawn one after the other from softmax(logits / temperature), after the model has read the ids `prime`.

    Temperature 0 always takes the likeliest symbol. Raises UsageError for a negative length or temperature, or an
    empty prime.
    """
    if length < 0 or temperature < 0:
        raise UsageError(f"length {length} and temperature {temperature:g}: both must be at least 0")
    if not prime:
        raise UsageError("the prime is empty: give at least one symbol to start from")
    model = make_cohort([config.model], [state.parameters], tokenizer.vocabulary_size, torch.device("cpu"))
    torch.set_num_threads(1)
    generator = keyed_generator("sample", seed)
    hidden = model.initial_state(1)
    logits_V = torch.empty(0)
    for symbol in prime:
        logits_V, hidden = _advance(model, symbol, hidden)
    for _ in range(length):
        symbol = _draw(logits_V, temperature, generator)
        yield symbol
        logits_V, hidden = _advance(model, symbol, hidden)


def _advance(model: CohortModel, symbol: int, hidden: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    logits_MBV, hidden = model.step(torch.tensor([[symbol]]), hidden)
    return logits_MBV[0, 0], hidden


def _draw(logits_V: Tensor, temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    probabilities = torch.softmax(logits_V.double() / temperature, dim=0)
    return int(torch.multinomial(probabilities, 1, generator=generator))
