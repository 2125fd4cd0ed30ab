"""Enumeration of the first round: every combination of the axes, without skipped points, with adjustments applied."""

import itertools
import math
from collections.abc import Iterator, Mapping

from rnnlab.errors import SpecError
from rnnlab.spec.experiment import Experiment
from rnnlab.spec.experiment_tables import Condition
from rnnlab.spec.run_config import RunConfig
from rnnlab.spec.settings import CorpusSettings, Scalar

_MAX_POINTS = 1_000_000  # before the skip rules; enumerating more would take minutes


def matches(condition: Condition, settings: Mapping[str, Scalar]) -> bool:
    """Whether every setting named in the condition has the given value, or one of the given values.

    A setting that the run's cell does not have never matches.
    """
    return all(
        name in settings and settings[name] in (allowed if isinstance(allowed, list) else [allowed])
        for name, allowed in condition.items()
    )


def grid_points(experiment: Experiment) -> Iterator[dict[str, Scalar]]:
    """The points of the grid, adjustments included, in the order of the file: the last axis varies fastest."""
    for values in itertools.product(*experiment.grid.values()):
        point = dict(zip(experiment.grid, values, strict=True))
        if not any(matches(rule.when, point) for rule in experiment.skip):
            yield point | adjustments(experiment, point)


def adjustments(experiment: Experiment, point: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The settings that `[[adjust]]` adds at a point of the grid. The point must have a value for every axis."""
    adjusted = (rule.set for rule in experiment.adjust if matches(rule.when, point))
    return {name: value for settings in adjusted for name, value in settings.items()}


def enumerate_configs(experiment: Experiment, corpus: CorpusSettings) -> list[RunConfig]:
    """The run configs of the first round, without duplicates.

    Raises SpecError if settings are incompatible, if the skip rules leave no run, or if the grid is too large.
    """
    points = math.prod(len(values) for values in experiment.grid.values())
    if points > _MAX_POINTS:
        raise SpecError(
            f"experiment {experiment.name}: the grid has {points:,} points, at most {_MAX_POINTS:,} are allowed: "
            "give its axes fewer values"
        )
    configs = {config.hash: config for config in (experiment.run_config(corpus, p) for p in grid_points(experiment))}
    if not configs:
        raise SpecError(f"experiment {experiment.name}: the skip rules leave no run of the grid: remove one of them")
    return list(configs.values())
