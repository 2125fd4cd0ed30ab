"""Learning rates over the epochs of a run, as one string, so that a grid can vary them: "1@1e-2,1@1e-3"."""

import math
from dataclasses import dataclass
from functools import lru_cache

from rnnlab.spec.toml_format import abbreviated


@dataclass(frozen=True)
class Stage:
    """Consecutive epochs with one learning rate."""

    epochs: int  # >= 1
    learning_rate: float  # > 0


@lru_cache(maxsize=64)
def parse_schedule(text: str) -> list[Stage]:
    """The stages of a schedule, in order.

    Raises ValueError if `text` is not a schedule.
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
                f"{abbreviated(text)} is not a schedule: give entries EPOCHS@RATE separated by commas, for example "
                '"1@1e-2,1@1e-3", each with at least one epoch and a rate above 0 and at most 100'
            )
        stages.append(stage)
    return stages
