"""How many runs to train at once, from a short measured sweep: batched products have cliffs that no formula knows.

The size has no influence on the bits of any run, only on speed.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort_size.heuristic import cohort_size, is_out_of_memory, largest_cohort, model_bytes, step_flops
from rnnlab.training.cohort_size.measured_sizes import RememberedSizes
from rnnlab.training.cohort_size.throughput import model_steps_per_second
from rnnlab.training.context import TrainingContext

# Ten seconds of a core at what small products reach. A sweep would take longer than it could save.
_SMALL_RUN_FLOPS = 2e11
_MEASURED_SECONDS = 0.4  # a size
_SWEEP_SECONDS = 4.0  # a group
_BETTER = 1.05  # a smaller gain is noise
_MEMORY_SHARE = 0.5  # of what is free now: others want some too, and a CPU does not say that there is no more

Measure = Callable[[RunConfig, int, int], float]  # config, cohort size, threads -> model-steps/s


class CohortSizes:
    """The cohort sizes of one device: measured once for each group of large enough runs, and remembered."""

    def __init__(
        self,
        context: TrainingContext,
        remembered: Path | None = None,
        *,
        tell: Callable[[str], None] = lambda _text: None,
        should_stop: Callable[[], bool] = lambda: False,
        measure: Measure | None = None,
    ) -> None:
        """`remembered`: a file that outlives the process; `tell`: hears of each sweep; `should_stop`: cuts it short."""
        self._context = context
        self._remembered = None if remembered is None else RememberedSizes(remembered, context.device)
        self._tell = tell
        self._should_stop = should_stop
        self._measure = measure or self._model_steps_per_second
        self._sizes: dict[str, int] = {}  # by group key

    def size_for(self, config: RunConfig, max_threads: int) -> int:
        """How many runs of this config's group to train at once: known, or measured now; small runs are not measured.

        Whatever is wrong with the config or its text is left for the training to find: then it is the formula's size.
        """
        size = self._known(config)
        if size is None:
            size = self._measured(config, max_threads)
        self._sizes[config.group_key] = size
        return size

    def unmeasured(self, config: RunConfig) -> int:
        """The size as far as it is known without measuring now, else the formula's."""
        return self._known(config) or cohort_size(config, self._context.device)

    def _known(self, config: RunConfig) -> int | None:
        size = self._sizes.get(config.group_key)
        if size is None and self._remembered is not None:
            size = self._remembered.get(config.group_key)
        return None if size is None else min(size, largest_cohort(config))

    def _measured(self, config: RunConfig, max_threads: int) -> int:
        try:
            vocabulary_size = self._context.text(config)[1].vocabulary_size
            if step_flops(config, vocabulary_size) * config.target_steps < _SMALL_RUN_FLOPS:
                return cohort_size(config, self._context.device)
            room = int(_MEMORY_SHARE * _free_bytes(self._context.device)) // model_bytes(config, vocabulary_size)
            sweep = _Sweep(lambda size: self._measure(config, size, max_threads), self._should_stop)
            limit = max(1, min(room, largest_cohort(config)))
            sweep.run(min(cohort_size(config, self._context.device), limit), limit)
        except torch.AcceleratorError:
            raise
        except Exception:
            return cohort_size(config, self._context.device)
        if sweep.rate == 0 or self._should_stop():
            return sweep.size
        # Memory that others have taken now may be free next time.
        memory_decided = sweep.out_of_memory or min(2 * sweep.size, largest_cohort(config)) > room
        if self._remembered is not None and not memory_decided:
            self._remembered.keep(config.group_key, sweep.size)
        self._tell(
            f"cohorts of {sweep.size} measured best for group {config.group_key}: {sweep.rate:,.0f} model-steps/s"
        )
        return sweep.size

    def _model_steps_per_second(self, config: RunConfig, size: int, max_threads: int) -> float:
        return model_steps_per_second(
            self._context, [config] * size, seconds=_MEASURED_SECONDS, max_threads=max_threads
        )


class _Sweep:
    """A walk over cohort sizes from a first guess, by halves or doubles, to where it no longer gets better."""

    def __init__(self, measure: Callable[[int], float], should_stop: Callable[[], bool]) -> None:
        self.size = 1  # the best so far
        self.rate = 0.0  # of it, model-steps/s; 0: not even one model has enough memory
        self.out_of_memory = False  # whether a size was too large
        self._measure = measure
        self._should_stop = should_stop
        self._end = time.monotonic() + _SWEEP_SECONDS
        self._cost = 0.0  # seconds that the last measurement took for each model

    def run(self, first: int, limit: int) -> None:
        """Measure from `first` on, within 1 to `limit`."""
        self.size, self.rate = first, self._try(first)
        while self.rate == 0 and self.size > 1:  # out of memory
            self.size = limit = self.size // 2
            self.rate = self._try(self.size)
        rates = {size: self._try(size) for size in (self.size // 2, 2 * self.size) if self._may_try(size, limit)}
        if not rates:
            return
        better = max(rates, key=lambda size: rates[size])
        smaller, rate = better < self.size, rates[better]
        if rate > self.rate * _BETTER:  # or else another program had the core when the first was measured
            self.rate = max(self.rate, self._try(self.size))
        while rate > self.rate * _BETTER:
            self.size, self.rate = better, rate
            better = better // 2 if smaller else better * 2
            if not self._may_try(better, limit):
                return
            rate = self._try(better)

    def _may_try(self, size: int, limit: int) -> bool:
        in_time = time.monotonic() + self._cost * size < self._end
        return 1 <= size <= limit and in_time and not self._should_stop()

    def _try(self, size: int) -> float:
        """Model-steps/s of a cohort of this size; 0 where the memory is not enough for it."""
        begun = time.monotonic()
        try:
            return self._measure(size)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.out_of_memory = True
            return 0.0
        finally:
            self._cost = (time.monotonic() - begun) / size


def _free_bytes(device: torch.device) -> int:
    """Memory of the device that could be had now."""
    if device.type != "cpu":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):  # not Linux: what any machine has
        return 2 * 2**30
