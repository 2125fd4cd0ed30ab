"""Forecasts the time of each round of an experiment on this machine."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rnnlab.cost.estimate import GroupRate, by_group, group_rates, training_seconds
from rnnlab.spec.experiment import FIRST_ROUND, Experiment
from rnnlab.spec.round_rules import FinishedRun, plan_round
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.settings import Scalar
from rnnlab.training.context import TrainingContext
from rnnlab.training.resources import step_flops

# Settings that are always shown; others only if groups differ in them.
_ALWAYS_SHOWN = ("cell", "n_layers", "state_size", "batch_size", "block_size")


@dataclass(frozen=True)
class GroupForecast:
    """The jobs of one group in one round."""

    round: str
    settings: dict[str, Scalar]  # the settings in which the groups of the experiment differ, and the sizes
    jobs: int
    rate: GroupRate
    seconds: float  # training time of one process


@dataclass(frozen=True)
class RoundForecast:
    """One round. Later rounds are assumed to select the largest models, because the selection is not known yet."""

    name: str
    groups: list[GroupForecast]

    @property
    def jobs(self) -> int:
        """Number of jobs of the round."""
        return sum(group.jobs for group in self.groups)

    @property
    def seconds(self) -> float:
        """Training time of one process, in seconds."""
        return sum(group.seconds for group in self.groups)


def forecast(
    context: TrainingContext,
    experiment: Experiment,
    first_round: Sequence[RunConfig],
    size_for: Callable[[RunConfig], int],
    seconds: float = math.inf,
) -> list[RoundForecast]:
    """Forecast all rounds of an experiment, measuring their groups for about `seconds`.

    Raises CorpusError if the text is missing or too short, SpecError if a rule of a round gives an illegal config.
    """
    vocabulary_size = context.text(first_round[0])[1].vocabulary_size
    rounds = _rounds(experiment, first_round, lambda config: step_flops(config, vocabulary_size))
    groups = {(name, group_key): group for name, configs in rounds for group_key, group in by_group(configs).items()}
    rates = group_rates(context, groups, size_for, seconds)
    shown = _shown([config for group in groups.values() for config in group])
    forecasts = [
        GroupForecast(
            name,
            {key: value for key, value in group[0].settings.items() if key in shown},
            len(group),
            rates[name, group_key],
            training_seconds(group, rates[name, group_key]),
        )
        for (name, group_key), group in groups.items()
    ]
    return [RoundForecast(name, [one for one in forecasts if one.round == name]) for name, _ in rounds]


def _rounds(
    experiment: Experiment, first_round: Sequence[RunConfig], cost: Callable[[RunConfig], float]
) -> list[tuple[str, Sequence[RunConfig]]]:
    """The rounds if the most costly runs were the best, and all runs met a bound or were on the Pareto front."""
    rounds = [(FIRST_ROUND, first_round)]
    for rule in experiment.rounds:
        finished = [FinishedRun(config, -cost(config), cost(config)) for config in rounds[-1][1]]
        rounds.append((rule.name, plan_round(rule, finished).configs))
    return rounds


def _shown(configs: Sequence[RunConfig]) -> list[str]:
    """The settings that identify a group in a table."""
    values: dict[str, set[Scalar]] = {}
    for config in configs:
        free = config.model.free_in_cohort | config.training.free_in_cohort | {"seed"}
        for name, value in config.settings.items():
            if name not in free:
                values.setdefault(name, set()).add(value)
    return [name for name, found in values.items() if len(found) > 1 or name in _ALWAYS_SHOWN]
