"""Seeds: means, tests, power and noise, against scipy, statsmodels and the published figures."""

from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower

from rnnlab.analysis.noise import run_noise, within_noise
from rnnlab.analysis.replicates import MOST_SEEDS, not_separable, replicates, seeds_to_separate
from rnnlab.analysis.results import results_frame

from .published_runs import SWITCHES, make_job, published_csv


def seeded(losses: dict[int, list[float]]) -> pd.DataFrame:
    """One configuration a key, one seed a loss."""
    return results_frame(
        [
            make_job(100 * layers + seed, {"n_layers": layers}, {"min_loss": x}, seed=seed)
            for layers, xs in losses.items()
            for seed, x in enumerate(xs)
        ]
    )


def test_the_best_two_published_replicates_cannot_be_told_apart(replicate: pd.DataFrame) -> None:
    table = replicates(replicate)
    best_two = table.head(2).to_dict("records")
    assert [f"{row['mean']:.4f} {row['sd']:.3f}" for row in best_two] == ["1.5516 0.016", "1.5518 0.010"]
    assert table["separable"].tolist()[:2] == [False, False]
    assert set(table.index[:2]) <= set(not_separable(table).index)
    assert table["seeds_needed"].isna().tolist()[:2] == [True, True]  # more than a thousand would be needed


def test_the_published_replicates_against_scipy(replicate: pd.DataFrame) -> None:
    groups: dict[tuple[int, ...], list[float]] = {}
    names = [*SWITCHES, "n_layers", "state_size"]
    for row in published_csv(3).to_dict("records"):
        groups.setdefault(tuple(row[name] for name in names), []).append(row["min_loss"])
    expected = sorted(groups.values(), key=mean)
    table = replicates(replicate)
    assert table["n"].tolist() == [len(losses) for losses in expected]
    assert table["mean"].tolist() == pytest.approx([mean(losses) for losses in expected])
    assert table["sd"].tolist() == pytest.approx([stdev(losses) for losses in expected])
    for row, losses in zip(table.to_dict("records"), expected, strict=True):
        bounds = stats.ttest_1samp(losses, 0.0).confidence_interval(0.95)
        assert [row["low"], row["high"]] == pytest.approx([bounds.low, bounds.high])
    raw = [stats.ttest_ind(losses, expected[0], equal_var=False).pvalue for losses in expected[1:]]
    corrected = multipletests(raw, method="holm")[1]
    assert table["p"].tolist()[1:] == pytest.approx(corrected.tolist())
    assert table["separable"].tolist() == [False, *(corrected < 0.05).tolist()]


def test_a_single_run_is_never_judged(explore: pd.DataFrame) -> None:
    table = replicates(explore)
    assert table["n"].eq(1).all()
    assert table[["separable", "p", "low", "seeds_needed"]].isna().all().all()
    assert not_separable(table).empty


def test_runs_without_noise_differ_or_are_equal() -> None:
    table = replicates(seeded({1: [1.0, 1.0], 2: [1.0, 1.0], 3: [1.1, 1.1]}))
    assert table["separable"].tolist() == [False, False, True]
    assert table["p"].tolist()[1:] == [1.0, 0.0]


@pytest.mark.parametrize("effect", [0.15, 0.3, 0.5, 1.0, 1.7])
def test_the_number_of_seeds_against_statsmodels(effect: float) -> None:
    """The power of Student's test, which is Welch's for equal spread: enough with n, not with n - 1."""
    found = seeds_to_separate(effect * 0.02, 0.02, 0.02)
    assert found is not None
    power = TTestIndPower().power(effect, np.array([found - 1, found]), 0.05)
    assert power[0] < 0.8 <= power[1]


def test_the_number_of_seeds_of_uneven_configurations_by_simulation() -> None:
    found = seeds_to_separate(0.03, 0.01, 0.04)
    assert found is not None
    random = np.random.default_rng(1)
    one, other = random.normal(0.03, 0.01, (20_000, found)), random.normal(0.0, 0.04, (20_000, found))
    detected = stats.ttest_ind(one, other, axis=1, equal_var=False).pvalue < 0.05
    # Welch's degrees of freedom are estimated in a test and known here: the power differs by a little.
    assert 0.77 < detected.mean() < 0.86


def test_more_seeds_than_anybody_has() -> None:
    assert seeds_to_separate(1e-6, 0.01, 0.01) is None
    assert seeds_to_separate(0.0, 0.01, 0.01) is None
    assert seeds_to_separate(10.0, 0.01, 0.01) == 2
    assert MOST_SEEDS == 1000


def test_the_noise_is_that_of_an_analysis_of_variance(replicate: pd.DataFrame, explore: pd.DataFrame) -> None:
    found = run_noise([explore, replicate])
    assert found is not None
    groups = [losses.to_numpy() for _, losses in replicate.groupby("recipe")["min_loss"]]
    within = sum(((losses - losses.mean()) ** 2).sum() for losses in groups) / (99 - 9)
    assert found.sd == pytest.approx(np.sqrt(within))
    assert (found.freedom, found.configurations, found.rounds) == (90, 9, ["replicate"])
    # Two runs this far apart: Student's test of one against one with the pooled spread gives p = 0.05.
    p = 2 * stats.t.sf(found.least_difference / (found.sd * np.sqrt(2)), 90)
    assert p == pytest.approx(0.05)


def test_runs_within_the_noise_of_the_best() -> None:
    noisy = seeded({1: [1.0, 1.02], 2: [1.5, 1.48], 3: [1.01], 4: [1.2]})
    found = run_noise([noisy])
    assert found is not None
    limit = 1.0 + found.least_difference
    assert within_noise(noisy, found) == sum(x < limit for x in (1.02, 1.5, 1.48, 1.01, 1.2))
    assert run_noise([seeded({1: [1.0], 2: [2.0]})]) is None
    assert run_noise([]) is None
