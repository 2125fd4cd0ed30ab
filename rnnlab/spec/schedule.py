"""Learning rates over the epochs of a run, as one text, so that a grid can vary them: "1@1e-2,1@1e-3"."""

import math
from dataclasses import dataclass
from functools import lru_cache

from rnnlab.spec.toml_format import shown


@dataclass(frozen=True)
class Stage:
    """Some epochs with one learning rate."""

    epochs: int  # >= 1
    learning_rate: float  # > 0


@lru_cache(maxsize=64)
def parse_schedule(text: str) -> list[Stage]:
    """The stages of a schedule, in their order.

    Raises ValueError for a text that is none.
    """
    stages = []
    for part in text.split(","):
        epochs, _, rate = part.partition("@")
        try:
            stage = Stage(int(epochs), float(rate))
        except ValueError:
            stage = Stage(0, 0.0)
        if not (1 <= stage.epochs <= 1_000_000_000 and 0 < stage.learning_rate <= 100) or math.isnan(
            stage.learning_rate
        ):
            raise ValueError(
                f'{shown(text)} is no schedule: give epochs@rate, separated by commas, for example "1@1e-2,1@1e-3", '
                "each of at least one epoch, with a rate above 0 and at most 100"
            )
        stages.append(stage)
    return stages
