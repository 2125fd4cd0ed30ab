"""Drawing symbols from a model, one after the other.

Shapes: V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from rnnlab.errors import UsageError
from rnnlab.models.initialization import keyed_generator


@torch.no_grad()
def sample(
    read: Callable[[Sequence[int]], Tensor], *, prime: Sequence[int], length: int, temperature: float, seed: int
) -> Iterator[int]:
    """Ids drawn one after the other from softmax(logits / temperature), after the model has read the ids `prime`.

    read: lets the model read more ids -> logits [V] of the next one.
    Temperature 0 always takes the most likely symbol. Raises UsageError for a negative length, temperature or seed, and
    for an empty prime.
    """
    if length < 0 or seed < 0 or not temperature >= 0:
        raise UsageError(
            f"length {length}, temperature {temperature:g}, seed {seed}: each must be a number of at least 0"
        )
    if not prime:
        raise UsageError("the prime is empty: give at least one symbol to start from")
    generator = keyed_generator("sample", seed)
    logits_V = read(prime)
    for drawn in range(length):
        symbol = _draw(logits_V, temperature, generator)
        yield symbol
        if drawn + 1 < length:
            logits_V = read([symbol])


def _draw(logits_V: Tensor, temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    probabilities = torch.softmax(logits_V.double().cpu() / temperature, dim=0)
    return int(torch.multinomial(probabilities, 1, generator=generator))
