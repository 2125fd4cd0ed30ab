"""Cohort sizes from a short measurement: the speed of batched products has jumps that no formula predicts.

The size has no influence on the bits of any run, only on speed.
"""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort_size.default_size import default_cohort_size, largest_cohort
from rnnlab.training.cohort_size.measured_sizes import MeasuredSizes
from rnnlab.training.cohort_size.throughput import model_steps_per_second
from rnnlab.training.context import TrainingContext
from rnnlab.training.memory_errors import is_out_of_memory
from rnnlab.training.resources import model_bytes, step_flops

# Ten seconds of a core at the speed of small products. For smaller runs a sweep takes longer than it can save.
_SMALL_RUN_FLOPS = 2e11
_MEASURED_SECONDS = 0.4  # per size
_SWEEP_SECONDS = 4.0  # per group
_BETTER = 1.05  # ratio of speeds; a smaller gain is noise
_MEMORY_SHARE = 0.5  # of the free memory: others need some too, and a CPU does not report that it has no more

Measure = Callable[[RunConfig, int, int], float]  # config, cohort size, threads -> model-steps/s


class CohortSizes:
    """The cohort sizes of one device: measured once for each group of sufficiently large runs, and stored."""

    def __init__(
        self,
        context: TrainingContext,
        remembered: Path | None = None,
        *,
        tell: Callable[[str], None] = lambda _text: None,
        should_stop: Callable[[], bool] = lambda: False,
        measure: Measure | None = None,
    ) -> None:
        """`remembered`: the file of stored sizes. `tell` is called after each sweep. `should_stop`: ends a sweep."""
        self._context = context
        self._remembered = None if remembered is None else MeasuredSizes(remembered, context.device)
        self._tell = tell
        self._should_stop = should_stop
        self._measure = measure or self._model_steps_per_second
        self._sizes: dict[str, int] = {}  # by group key

    def size_for(self, config: RunConfig, max_threads: int) -> int:
        """How many runs of this config's group to train at once: known, or measured now. Small runs are not measured.

        Errors in the config or its text are left for the training to report: the size is then the default.
        """
        size = self._known(config)
        if size is None:
            size = self._measured(config, max_threads)
        self._sizes[config.group_key] = size
        return size

    def unmeasured(self, config: RunConfig) -> int:
        """The known size, or the default without a measurement."""
        return self._known(config) or default_cohort_size(config, self._context.device)

    def _known(self, config: RunConfig) -> int | None:
        size = self._sizes.get(config.group_key)
        if size is None and self._remembered is not None:
            size = self._remembered.get(config.group_key)
        return None if size is None else min(size, largest_cohort(config))

    def _measured(self, config: RunConfig, max_threads: int) -> int:
        try:
            vocabulary_size = self._context.text(config)[1].vocabulary_size
            if step_flops(config, vocabulary_size) * config.target_steps < _SMALL_RUN_FLOPS:
                return default_cohort_size(config, self._context.device)
            room = int(_MEMORY_SHARE * _free_bytes(self._context.device)) // model_bytes(config, vocabulary_size)
            sweep = _Sweep(lambda size: self._measure(config, size, max_threads), self._should_stop)
            limit = max(1, min(room, largest_cohort(config)))
            sweep.run(min(default_cohort_size(config, self._context.device), limit), limit)
        except torch.AcceleratorError:
            raise
        except Exception:
            return default_cohort_size(config, self._context.device)
        if sweep.rate == 0 or self._should_stop():
            return sweep.size
        # Do not store a size that the free memory limited: there may be more next time.
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
    """A search over cohort sizes from a first guess, halving or doubling until the speed no longer improves."""

    def __init__(self, measure: Callable[[int], float], should_stop: Callable[[], bool]) -> None:
        self.size = 1  # the best so far
        self.rate = 0.0  # its speed, model-steps/s; 0: there is not enough memory for one model
        self.out_of_memory = False  # whether a size was too large
        self._measure = measure
        self._should_stop = should_stop
        self._end = time.monotonic() + _SWEEP_SECONDS
        self._cost = 0.0  # seconds of the last measurement per model

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
        if rate > self.rate * _BETTER:  # measure the first size again: another program may have used the core
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
        """Model-steps/s of a cohort of this size; 0 if there is not enough memory."""
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
    """Memory of the device that can be allocated now."""
    if device.type != "cpu":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):  # not Linux: assume what any machine has
        return 2 * 2**30
