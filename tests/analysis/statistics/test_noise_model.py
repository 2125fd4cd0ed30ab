"""Means, blocks and residual variances, against statsmodels."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols

from rnnlab.analysis.statistics.noise_model import NO_SEED, Integers, NoiseModel, noise_model
from rnnlab.analysis.statistics.variances import Floats

Design = tuple[Floats, Integers, Integers]


def design(n_configurations: int, n_seeds: int, drop: tuple[int, ...] = ()) -> Design:
    """Values, configurations and seeds of a complete layout, some of its runs dropped; a seed moves all by about 1."""
    random = np.random.default_rng(7)
    configurations = np.repeat(np.arange(n_configurations), n_seeds)
    seeds = np.tile(np.arange(n_seeds), n_configurations)
    values = configurations / 3 + random.standard_normal(n_seeds)[seeds] + 0.1 * random.standard_normal(len(seeds))
    kept = np.setdiff1d(np.arange(len(seeds)), drop)
    return values[kept], configurations[kept], seeds[kept]


def model_of(runs: Design) -> NoiseModel:
    """The model, which these runs determine."""
    found = noise_model(*runs)
    assert found is not None
    return found


@pytest.mark.parametrize("drop", [(), (0, 6, 13), (3, 4, 5, 6)])
def test_what_a_seed_adds_to_all_runs_changes_nothing(drop: tuple[int, ...]) -> None:
    values, configurations, seeds = design(5, 4, drop)
    before = model_of((values, configurations, seeds))
    after = model_of((values + np.array([5.0, -3.0, 0.0, 100.0])[seeds], configurations, seeds))
    assert np.diff(after.means_G) == pytest.approx(np.diff(before.means_G))
    assert after.posterior.sums_G == pytest.approx(before.posterior.sums_G)
    assert after.posterior.freedoms_G == pytest.approx(before.posterior.freedoms_G)
    assert before.n_seeds_shared == 4


@pytest.mark.parametrize("drop", [(), (0, 6, 13), (3, 4, 5, 6)])
def test_a_layout_of_configurations_and_seeds_against_statsmodels(drop: tuple[int, ...]) -> None:
    runs = design(5, 4, drop)
    found = model_of(runs)
    frame = pd.DataFrame({"value": runs[0], "configuration": runs[1], "seed": runs[2]})
    layout = ols("value ~ C(configuration) + C(seed)", frame).fit()
    differences = [layout.params[f"C(configuration)[T.{i}]"] for i in range(1, 5)]
    assert (found.means_G - found.means_G[0])[1:] == pytest.approx(differences)
    assert found.posterior.freedoms_G.sum() == pytest.approx(layout.df_resid)
    assert found.posterior.sums_G.sum() == pytest.approx(layout.ssr)


def test_a_configuration_with_a_single_run_has_a_mean_without_its_seed() -> None:
    runs = design(5, 4, drop=(1, 2, 3))  # the first configuration ran with seed 0 only
    found = model_of(runs)
    frame = pd.DataFrame({"value": runs[0], "configuration": runs[1], "seed": runs[2]})
    layout = ols("value ~ C(configuration) + C(seed)", frame).fit()
    assert found.means_G[1] - found.means_G[0] == pytest.approx(layout.params["C(configuration)[T.1]"])
    assert (found.counts_G[0], found.posterior.freedoms_G[0]) == (1, 0)
    assert found.standard_errors_G[0] > 1.5 * found.standard_errors_G[1]


def test_one_configuration_alone_has_its_own_variance() -> None:
    values = np.array([1.0, 1.2, 1.1])
    found = model_of((values, np.zeros(3, dtype=np.intp), np.arange(3)))
    assert found.posterior.sums_G == pytest.approx([2 * values.var(ddof=1)])
    assert (found.n_seeds_shared, found.seed_variance) == (0, 0.0)
    assert found.errors_ZG.shape[1] == 1


def test_single_runs_say_nothing_of_noise() -> None:
    assert noise_model(np.array([1.0, 2.0, 3.0]), np.arange(3), np.zeros(3, dtype=np.intp)) is None


def test_without_shared_seeds_variances_are_plain() -> None:
    values, configurations, seeds = design(5, 4)
    for apart in (np.full(len(seeds), NO_SEED), seeds + 10 * configurations):
        found = model_of((values, configurations, apart))
        groups = pd.Series(values).groupby(configurations)
        assert found.posterior.sums_G == pytest.approx(3 * groups.var().to_numpy())
        assert found.posterior.freedoms_G == pytest.approx(3.0)
        assert found.means_G == pytest.approx(groups.mean().to_numpy())
        assert found.n_seeds_shared == 0


def test_an_unstable_configuration_does_not_decide_what_seeds_do() -> None:
    values, configurations, seeds = design(8, 3)
    wild = np.where(configurations == 7, values + np.array([0.0, 50.0, -20.0])[seeds], values)
    calm, found = model_of((values, configurations, seeds)), model_of((wild, configurations, seeds))
    assert found.run_sds_G[:7] == pytest.approx(calm.run_sds_G[:7], rel=0.5)
    assert found.run_sds_G[7] > 10
    assert found.typical_sd < 2 * calm.typical_sd


def test_errors_of_differences_cover_the_truth() -> None:
    """Nine in ten intervals at 90 %, over made-up rounds of six configurations and three common seeds."""
    random = np.random.default_rng(1)
    _, configurations, seeds = design(6, 3)
    hits = 0
    for _ in range(200):
        values = random.standard_normal(3)[seeds] + 0.1 * random.standard_normal(18)
        found = model_of((values, configurations, seeds))
        low, high = np.quantile(found.errors_ZG[:, 1] - found.errors_ZG[:, 0], [0.05, 0.95])
        hits += bool(low <= found.means_G[1] - found.means_G[0] <= high)
    assert 0.84 <= hits / 200 <= 0.98
