"""The set that contains the best configuration."""

import numpy as np
import pytest

from rnnlab.analysis.statistics.best_set import BestSet, best_set
from rnnlab.analysis.statistics.noise_model import NO_SEED, noise_model
from rnnlab.analysis.statistics.variances import Floats


def found_for(runs_GR: Floats) -> BestSet:
    """One row a configuration; seeds have nothing in common."""
    n_configurations, n_seeds = runs_GR.shape
    configurations = np.repeat(np.arange(n_configurations), n_seeds)
    model = noise_model(runs_GR.ravel(), configurations, np.full(runs_GR.size, NO_SEED))
    assert model is not None
    return best_set(model)


def test_a_clear_winner_is_alone() -> None:
    runs = np.random.default_rng(0).standard_normal((9, 3))
    runs[4] -= 30.0
    found = found_for(runs)
    assert np.flatnonzero(found.members_G).tolist() == [4]
    assert found.chances_G[4] > 0.99
    assert found.wins_G[4] > 0.99


def test_equal_configurations_are_all_in_the_set() -> None:
    one = np.array([-1.0, 0.0, 1.0])
    found = found_for(np.tile(one, (9, 1)))
    assert found.members_G.all()
    assert found.chances_G == pytest.approx(1 / 9, abs=0.05)
    assert found.chances_G.sum() == pytest.approx(1.0)
    assert found.wins_G.sum() == pytest.approx(1.0)


def test_the_best_mean_is_always_in_the_set_and_a_single_configuration_too() -> None:
    runs = np.random.default_rng(3).standard_normal((5, 2))
    assert found_for(runs).members_G[runs.mean(axis=1).argmin()]
    alone = found_for(runs[:1])
    assert (alone.members_G.tolist(), alone.chances_G.tolist()) == ([True], [1.0])


# R 4.2.2, k = 8 and 2 rivals, known variance (qmvt of mvtnorm 1.1-3 gives 2.3810 to 2.3820 and 1.9164, by seed):
#   f <- function(x, k) integrate(function(z) dnorm(z)*pnorm(sqrt(2)*x + z)^k, -8, 8, rel.tol=1e-10)$value
#   uniroot(function(x) f(x, k) - 0.95, c(1, 4), tol=1e-10)$root
@pytest.mark.parametrize(("n_configurations", "dunnett"), [(9, 2.381440), (3, 1.916332)])
def test_the_critical_value_of_many_seeds_is_that_of_dunnett(n_configurations: int, dunnett: float) -> None:
    """The mean at which a configuration leaves the set, in standard errors of a difference, by bisection."""
    n_seeds = 200
    noise = np.random.default_rng(5).standard_normal((n_configurations, n_seeds))
    noise = (noise - noise.mean(axis=1, keepdims=True)) / noise.std(axis=1, ddof=1, keepdims=True)
    low, high = 0.0, 6.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        runs = noise.copy()
        runs[0] += middle * np.sqrt(2 / n_seeds)
        low, high = (middle, high) if found_for(runs).members_G[0] else (low, middle)
    assert low == pytest.approx(dunnett, abs=0.1)  # three standard errors of a quantile of 4,000 draws


def test_the_truly_best_is_in_the_set_and_much_worse_ones_are_not() -> None:
    """benchmarks/answers has the whole tables; here one cell of them."""
    random = np.random.default_rng(2)
    hits = np.zeros(2)
    for _ in range(150):
        equal, worse = random.standard_normal((2, 9, 3))
        worse[1:] += 5.0
        hits += [found_for(equal).members_G[0], not found_for(worse).members_G[1]]
    assert hits[0] / 150 >= 0.90
    assert hits[1] / 150 >= 0.90
