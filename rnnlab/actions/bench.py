"""Measures the speed of this machine, and the time that an experiment needs on it."""

from collections.abc import Callable
from dataclasses import dataclass

from rnnlab.actions.prepare import prepare
from rnnlab.cost.estimate import training_context
from rnnlab.cost.forecast import RoundForecast, forecast
from rnnlab.cost.reference_cases import CaseSpeed, measure_reference_cases
from rnnlab.devices import find_device, usable_cores
from rnnlab.spec.run_config import RunConfig
from rnnlab.training.cohort_size.measured_sizes import default_path
from rnnlab.training.cohort_size.tuning import CohortSizes
from rnnlab.training.context import TrainingContext

_REFERENCE_SECONDS = 12.0  # for all reference cases: a longer measurement gives the same numbers


@dataclass(frozen=True)
class MachineSpeed:
    """The speed of the reference cases on one device."""

    device: str  # as torch names it: cpu, cuda:0
    speeds: list[CaseSpeed]


@dataclass(frozen=True)
class ExperimentTime:
    """The estimated time of each round of an experiment on one device."""

    device: str
    processes: int  # worker processes that share the work
    rounds: list[RoundForecast]


def bench_machine(device: str, seconds: float, tell: Callable[[str], None]) -> MachineSpeed:
    """Measure the reference cases for about `seconds`, at most 12. tell: called with a line per measured cohort size.

    Raises UsageError if the device does not exist, CorpusError if the generated text cannot be stored.
    """
    context = training_context(find_device(device), None)
    return MachineSpeed(
        str(context.device),
        measure_reference_cases(context, _tuned_size(context, tell), min(seconds, _REFERENCE_SECONDS)),
    )


def bench_experiment(
    experiment: str,
    corpus: str | None,
    scale: str | None,
    device: str,
    processes: int | None,
    seconds: float,
    tell: Callable[[str], None],
    *,
    allow_code: bool,
) -> ExperimentTime:
    """Measure groups of an experiment for about `seconds`, and estimate the time of all rounds.

    experiment, corpus, scale, allow_code: as for `prepare`. processes: None: the usable cores on a CPU, 1 on a GPU.
    Raises SpecError, CorpusError, CellError or UsageError, in one line.
    """
    plan = prepare(experiment, corpus, scale, allow_code=allow_code)
    context = training_context(find_device(device), plan.vocabulary)
    n_processes = processes or (usable_cores() if context.device.type == "cpu" else 1)
    rounds = forecast(context, plan.experiment, plan.first_round, _tuned_size(context, tell), seconds)
    return ExperimentTime(str(context.device), n_processes, rounds)


def _tuned_size(context: TrainingContext, tell: Callable[[str], None]) -> Callable[[RunConfig], int]:
    """The best cohort size of a config on one thread, measured once and stored for the workers."""
    sizes = CohortSizes(context, default_path(), tell=tell)
    return lambda config: sizes.size_for(config, 1)
