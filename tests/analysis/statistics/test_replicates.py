"""Seeds: means, tests, power and noise, against scipy, statsmodels and the published figures."""

from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower

from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.noise import Noise, within_noise
from rnnlab.analysis.statistics.noise import run_noise as run_noise_of
from rnnlab.analysis.statistics.replicates import MOST_SEEDS, seeds_to_separate
from rnnlab.analysis.statistics.replicates import replicates as replicates_of
from tests.support.published_runs import SWITCHES, make_job, published_csv
from tests.support.round_statistics import runs_of


def seeded(losses: dict[int, list[float]]) -> pd.DataFrame:
    """One configuration a key, one seed a loss."""
    return results_frame(
        [
            make_job(100 * layers + seed, {"n_layers": layers}, {"min_loss": x}, seed=seed)
            for layers, xs in losses.items()
            for seed, x in enumerate(xs)
        ]
    )


def replicates(frame: pd.DataFrame) -> pd.DataFrame:
    """The table of the configurations."""
    return replicates_of(runs_of(frame)).table


def run_noise(frames: Sequence[pd.DataFrame]) -> Noise | None:
    return run_noise_of([runs_of(frame) for frame in frames])


def test_the_best_two_published_replicates_cannot_be_told_apart(replicate: pd.DataFrame) -> None:
    table = replicates(replicate)
    best_two = table.head(2).to_dict("records")
    assert [f"{row['mean']:.4f} {row['sd']:.3f}" for row in best_two] == ["1.5516 0.016", "1.5518 0.010"]
    assert table["separable"].tolist()[:2] == [False, False]
    assert set(table.index[:2]) <= set(replicates_of(runs_of(replicate)).tied.index)
    assert table["seeds_needed"].isna().tolist()[:2] == [True, True]  # more than a thousand would be needed


def corrected(raw: list[float]) -> list[float]:
    """By Holm's procedure for all pairs of configurations, of which those with the best are some.

    The p-values of the other pairs are not known: at worst none of them is larger than these.
    """
    pairs = (len(raw) + 1) * len(raw) // 2
    found: list[float] = multipletests([*raw, *[1.0] * (pairs - len(raw))], method="holm")[1].tolist()
    return found[: len(raw)]


def test_the_published_replicates_against_scipy(replicate: pd.DataFrame) -> None:
    """Welch's test, for seeds of imported runs say nothing."""
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
    p = corrected([stats.ttest_ind(losses, expected[0], equal_var=False).pvalue for losses in expected[1:]])
    assert table["p"].tolist()[1:] == pytest.approx(p)
    assert table["separable"].tolist() == [False, *(value < 0.05 for value in p)]
    assert table["test"].tolist() == [None, *["Welch"] * 8]


def noisy(effects: Sequence[float], seeds: int, seed_sd: float = 1.0, sd: float = 0.1) -> dict[int, list[float]]:
    """Losses of configurations with these effects: what a seed does is the same for all of them."""
    random = np.random.default_rng(2)
    of_seed = seed_sd * random.standard_normal(seeds)
    return {i: (x + of_seed + sd * random.standard_normal(seeds)).tolist() for i, x in enumerate(effects, start=1)}


def test_runs_with_common_seeds_are_compared_seed_by_seed() -> None:
    losses = noisy([1.0, 1.05, 1.4], seeds=6)
    table = replicates(seeded(losses))
    best, *others = [losses[layers] for layers in table["n_layers"]]
    assert table["p"].tolist()[1:] == pytest.approx(corrected([stats.ttest_rel(x, best).pvalue for x in others]))
    assert table["test"].tolist() == [None, "paired", "paired"]
    assert table["difference"].tolist()[1:] == pytest.approx([mean(x) - mean(best) for x in others])
    assert table["separable"].tolist() == [False, False, True]
    deviation = stdev(a - b for a, b in zip(others[0], best, strict=True))
    assert table["seeds_needed"].tolist()[1] == seeds_to_separate(mean(others[0]) - mean(best), [deviation], 0.05 / 3)


def test_only_seeds_in_common_are_paired_and_two_of_them_are_needed() -> None:
    losses = noisy([1.0, 1.4], seeds=6)
    frame = seeded(losses)
    (layers_of_best, layers) = replicates(frame)["n_layers"].tolist()
    shorter = replicates(frame[(frame["n_layers"] == layers_of_best) | (frame["seed"] > 2)])
    pair = stats.ttest_rel(losses[layers][3:], losses[layers_of_best][3:])
    assert shorter["p"].tolist()[1] == pytest.approx(pair.pvalue)
    apart = frame[(frame["n_layers"] == layers_of_best) & (frame["seed"] < 4) | (frame["seed"] > 2)]
    apart = replicates(apart[(apart["n_layers"] == layers_of_best) == (apart["seed"] < 4)])
    welch = stats.ttest_ind(losses[layers][4:], losses[layers_of_best][:4], equal_var=False)
    assert (apart["test"].tolist()[1], apart["p"].tolist()[1]) == ("Welch", pytest.approx(welch.pvalue))


@pytest.mark.parametrize("imported", [False, True])
def test_among_equal_configurations_hardly_ever_one_is_called_different(imported: bool) -> None:
    """The best is chosen by the data that it is compared by: as one of fixed comparisons it is one time in nine."""
    frame = seeded(dict.fromkeys(range(1, 8), [0.0] * 6)).assign(imported=imported)
    random = np.random.default_rng(3)
    wrong = 0
    for _ in range(120):
        table = replicates(frame.assign(min_loss=random.standard_normal(len(frame))))
        wrong += bool(table["separable"].any())
    assert wrong <= 0.05 * 120


def test_the_promised_seeds_find_the_difference_under_the_rule() -> None:
    """Four times in five, among as many configurations."""
    effects, sd = [0.0, 1.0, 1.1, 1.2, 1.3, 5.0], 1.0
    needed = seeds_to_separate(1.0, [sd * 2**0.5], 0.05 / 15)
    assert needed is not None
    frame = seeded(dict.fromkeys(range(1, 7), [0.0] * needed))
    random = np.random.default_rng(4)
    found = 0
    for _ in range(100):
        loss = np.repeat(effects, needed) + sd * random.standard_normal(len(frame)) + frame["seed"]
        table = replicates(frame.assign(min_loss=loss))
        found += bool(table.loc[table["n_layers"] == 2, "separable"].item())
    assert 0.8 <= found / 100 <= 0.95


def test_configurations_of_which_a_seed_diverged_come_last_and_are_not_tested() -> None:
    frame = seeded(
        {1: [1.0, 1.1, 1.2], 2: [0.1, 0.2, np.nan], 3: [0.3, np.inf, np.nan], 4: [np.nan] * 3, 5: [1.5, 1.4, 1.9]}
    )
    table = replicates(frame)
    assert table["n_layers"].tolist() == [1, 5, 2, 3, 4]
    assert table["diverged"].tolist() == [0, 0, 1, 2, 3]
    assert table["n"].tolist() == [3, 3, 2, 1, 0]
    assert table["test"].tolist() == [None, "paired", None, None, None]
    assert table["separable"].isna().tolist() == [False, False, True, True, True]
    alone = stats.ttest_rel([1.5, 1.4, 1.9], [1.0, 1.1, 1.2]).pvalue
    assert table["p"].tolist()[1] == pytest.approx(alone)  # those that are not tested do not count


def test_a_single_run_is_never_judged(explore: pd.DataFrame) -> None:
    table = replicates(explore)
    assert table["n"].eq(1).all()
    assert table[["separable", "p", "low", "seeds_needed"]].isna().all().all()
    assert replicates_of(runs_of(explore)).tied.empty


def test_runs_without_noise_differ_or_are_equal() -> None:
    table = replicates(seeded({1: [1.0, 1.0], 2: [1.0, 1.0], 3: [1.1, 1.1]}))
    assert table["separable"].tolist() == [False, False, True]
    assert table["p"].tolist()[1:] == [1.0, 0.0]


@pytest.mark.parametrize("effect", [0.25, 0.3, 0.5, 1.0, 1.7])
def test_the_number_of_seeds_against_statsmodels(effect: float) -> None:
    """The power of Student's tests, which is Welch's for equal spread: enough with n, not with n - 1."""
    for level in (0.05, 0.05 / 36):
        found = seeds_to_separate(effect * 0.02, [0.02, 0.02], level)
        assert found is not None
        power = TTestIndPower().power(effect, np.array([found - 1, found]), level)
        assert power[0] < 0.8 <= power[1]
        found = seeds_to_separate(-effect * 0.02, [0.02], level)
        assert found is not None
        power = TTestPower().power(effect, np.array([found - 1, found]), level)
        assert power[0] < 0.8 <= power[1]


def test_the_number_of_seeds_of_uneven_configurations_by_simulation() -> None:
    found = seeds_to_separate(0.03, [0.01, 0.04])
    assert found is not None
    random = np.random.default_rng(1)
    one, other = random.normal(0.03, 0.01, (20_000, found)), random.normal(0.0, 0.04, (20_000, found))
    detected = stats.ttest_ind(one, other, axis=1, equal_var=False).pvalue < 0.05
    # Welch's degrees of freedom are estimated in a test and known here: the power differs by a little.
    assert 0.77 < detected.mean() < 0.86


def test_more_seeds_than_the_maximum() -> None:
    assert seeds_to_separate(1e-6, [0.01, 0.01]) is None
    assert seeds_to_separate(0.0, [0.01, 0.01]) is None
    assert seeds_to_separate(10.0, [0.01, 0.01]) == 2
    assert seeds_to_separate(10.0, [0.001]) == 2
    assert MOST_SEEDS == 1000


def test_the_noise_is_that_of_an_analysis_of_variance(replicate: pd.DataFrame, explore: pd.DataFrame) -> None:
    found = run_noise([explore, replicate])
    assert found is not None
    groups = [losses.to_numpy() for _, losses in replicate.groupby("recipe")["min_loss"]]
    within = sum(((losses - losses.mean()) ** 2).sum() for losses in groups) / (99 - 9)
    assert found.sd == pytest.approx(np.sqrt(within))
    assert (found.freedom, found.configurations, found.rounds) == (90, 9, ["replicate"])
    assert (found.own_sd, found.same_seed) == (found.sd, False)  # imported
    # Two runs this far apart: Student's test of one against one with the pooled spread gives p = 0.05.
    p = 2 * stats.t.sf(found.least_difference / (found.sd * np.sqrt(2)), 90)
    assert p == pytest.approx(0.05)


def test_what_a_seed_does_to_all_configurations_is_no_noise_between_runs_with_the_same_seed() -> None:
    """The residual of a two-way analysis of variance, some seeds missing."""
    frame = seeded(noisy([1.0, 1.1, 1.3, 1.6], seeds=5)).drop(index=[3, 8, 14])
    found = run_noise([frame])
    assert found is not None
    layout = ols("min_loss ~ C(n_layers) + C(seed)", frame).fit()
    assert found.own_sd == pytest.approx(np.sqrt(layout.mse_resid))
    assert (found.freedom, found.same_seed) == (layout.df_resid, True)
    assert found.sd == pytest.approx(np.sqrt(ols("min_loss ~ C(n_layers)", frame).fit().mse_resid))
    p = 2 * stats.t.sf(found.least_difference / (found.own_sd * np.sqrt(2)), layout.df_resid)
    assert p == pytest.approx(0.05)


def test_one_configuration_alone_says_nothing_of_what_a_seed_does_to_all() -> None:
    found = run_noise([seeded({1: [1.0, 1.2, 1.1]})])
    assert found is not None
    assert (found.same_seed, found.freedom) == (False, 2)
    assert found.own_sd == pytest.approx(0.1)


def test_a_run_that_two_rounds_have_counts_once() -> None:
    """A round that takes the best as they are has the runs of the round before."""
    first = seeded({1: [1.0], 2: [2.0], 3: [3.0]})
    second = first.head(2).assign(round="again")
    assert run_noise([first, second]) is None
    several = seeded({1: [1.0, 1.5], 2: [2.0, 2.75]})
    assert run_noise([several, several.head(2).assign(round="again")]) == run_noise([several])


def test_runs_within_the_noise_of_the_best() -> None:
    losses = {1: [1.0, 1.02], 2: [1.5, 1.47], 3: [1.01], 4: [1.2], 5: [0.0, 1.03]}
    noisy = seeded(losses).drop(index=6)
    found = run_noise([noisy])
    assert found is not None
    limit = 1.0 + found.least_difference
    assert within_noise(runs_of(noisy), found) == sum(x < limit for x in (1.5, 1.01, 1.2))  # with the seed of the best
    elsewhere = noisy.assign(imported=True)
    assert within_noise(runs_of(elsewhere), found) is None
    pooled = run_noise([elsewhere])
    assert pooled is not None
    limit = 1.0 + pooled.least_difference
    assert within_noise(runs_of(elsewhere), pooled) == sum(x < limit for x in (1.02, 1.5, 1.47, 1.01, 1.2, 1.03))
    assert run_noise([seeded({1: [1.0], 2: [2.0]})]) is None
    assert run_noise([]) is None


def test_without_noise_the_best_is_the_best() -> None:
    equal = seeded({1: [1.0, 1.0], 2: [1.5, 1.5]})
    found = run_noise([equal])
    assert found is not None
    assert (found.least_difference, within_noise(runs_of(equal), found)) == (0.0, 0)
