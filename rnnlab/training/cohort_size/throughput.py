"""The training speed of a cohort on this machine, measured with throwaway runs."""

import math
import time
from collections.abc import Sequence

from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort import Cohort, Member
from rnnlab.training.context import TrainingContext
from rnnlab.training.run_state import fresh_state

_BLOCK_STEPS = 50
# Steps before the measurement. The first one allocates; on a GPU steps are captured, after some that are not.
_WARM_UP_STEPS = {"cpu": 1, "cuda": 60}


def model_steps_per_second(
    context: TrainingContext, configs: Sequence[RunConfig], *, seconds: float, max_threads: int
) -> float:
    """Optimizer steps per second, summed over the models, of one cohort of new runs. Writes nothing.

    `configs` have one group key, and may repeat. `seconds`: how long to measure, after the warm-up.

    Raises CorpusError if their text is not on this machine or is too short.
    """
    vocabulary_size = context.text(configs[0])[1].vocabulary_size
    fresh = {config.hash: fresh_state(config, vocabulary_size) for config in dict.fromkeys(configs)}
    cohort = context.cohort([Member(config, fresh[config.hash]) for config in configs])
    # The warm-up counts only if the runs end within it.
    spent, steps = _timed_block(cohort, _WARM_UP_STEPS[context.device.type], math.inf, max_threads)
    if not cohort.any_finished:
        spent, steps = _timed_block(cohort, _BLOCK_STEPS, seconds, max_threads)
    while not cohort.any_finished and spent < seconds:
        more_seconds, more_steps = _timed_block(cohort, _BLOCK_STEPS, seconds - spent, max_threads)
        spent, steps = spent + more_seconds, steps + more_steps
    return len(configs) * steps / spent


def _timed_block(cohort: Cohort, max_steps: int, seconds: float, max_threads: int) -> tuple[float, int]:
    start = time.perf_counter()
    steps = cohort.run_block(max_steps, max_threads, lambda: time.perf_counter() > start + seconds)
    return time.perf_counter() - start, steps
