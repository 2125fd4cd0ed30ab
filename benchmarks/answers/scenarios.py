"""Made-up runs whose truth is known: some configurations with several seeds each."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    """How the noise of the configurations is distributed; its typical standard deviation is 1."""

    name: str
    noise: Callable[[int, int, np.random.Generator], Floats]  # (G, n); the first configuration is the best one
    changes_means: bool = False  # whether one configuration is worse than the rest


def _normal(n_configurations: int, n_seeds: int, generator: np.random.Generator) -> Floats:
    return generator.standard_normal((n_configurations, n_seeds))


def _best_is_noisy(n_configurations: int, n_seeds: int, generator: np.random.Generator) -> Floats:
    sds = np.ones((n_configurations, 1))
    sds[0] = 2.0
    return sds * _normal(n_configurations, n_seeds, generator)


def _another_is_noisy(n_configurations: int, n_seeds: int, generator: np.random.Generator) -> Floats:
    sds = np.ones((n_configurations, 1))
    sds[-1] = 2.0
    return sds * _normal(n_configurations, n_seeds, generator)


def _log_normal(n_configurations: int, n_seeds: int, generator: np.random.Generator) -> Floats:
    variances = np.exp(generator.standard_normal((n_configurations, 1)))
    return np.sqrt(variances) * _normal(n_configurations, n_seeds, generator)


def _heavy_tails(n_configurations: int, n_seeds: int, generator: np.random.Generator) -> Floats:
    return np.asarray(generator.standard_t(3, (n_configurations, n_seeds)) / np.sqrt(3.0), dtype=float)


def _one_diverges(n_configurations: int, n_seeds: int, generator: np.random.Generator) -> Floats:
    runs = _normal(n_configurations, n_seeds, generator)
    runs[-1] = 100.0 + 50.0 * runs[-1]
    return runs


SCENARIOS = [
    Scenario("equal", _normal),
    Scenario("best 4x", _best_is_noisy),
    Scenario("other 4x", _another_is_noisy),
    Scenario("log-normal", _log_normal),
    Scenario("t(3) tails", _heavy_tails),
    Scenario("one diverges", _one_diverges, changes_means=True),
]
