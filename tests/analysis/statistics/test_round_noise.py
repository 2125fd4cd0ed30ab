"""Where the noise of a round is known from."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols

from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.round_noise import RoundNoise, Source, noise_from_seeds, noise_from_settings
from rnnlab.analysis.statistics.variance import decompose
from tests.support.published_runs import make_job
from tests.support.round_statistics import runs_of, statistics_of


def seeded(losses: Mapping[int, Sequence[float]], round_name: str = "explore", first_seed: int = 0) -> Runs:
    """One configuration a key, one seed a loss."""
    return runs_of(
        results_frame(
            [
                make_job(100 * layers + seed, {"n_layers": layers}, {"min_loss": x}, seed=seed, round_name=round_name)
                for layers, xs in losses.items()
                for seed, x in enumerate(xs, start=first_seed)
            ]
        )
    )


def noisy(n_configurations: int, n_seeds: int, seed_sd: float = 0.0, sd: float = 0.1) -> dict[int, list[float]]:
    """Losses of equal configurations. seed_sd: of what a seed does to all of them alike."""
    random = np.random.default_rng(3)
    of_seed = seed_sd * random.standard_normal(n_seeds)
    return {i: (of_seed + sd * random.standard_normal(n_seeds)).tolist() for i in range(1, n_configurations + 1)}


def found_for(runs: Runs, others: Sequence[Runs] = ()) -> RoundNoise:
    """The noise from seeds, which these rounds determine."""
    found = noise_from_seeds(runs, others)
    assert found is not None
    return found


def test_the_seeds_of_the_round_come_first(replicate: pd.DataFrame, refine: pd.DataFrame) -> None:
    found = found_for(runs_of(replicate), [runs_of(refine)])
    assert (found.source, found.rounds, found.configurations, found.freedom) == (Source.SEEDS, ["replicate"], 9, 90)
    assert sorted(found.recipes) == sorted(set(replicate["recipe"]))
    means = replicate.groupby("recipe")["min_loss"].mean()
    assert found.model.means_G == pytest.approx(means[list(found.recipes)].to_numpy())


def test_the_seeds_of_other_rounds_come_next(
    explore: pd.DataFrame, refine: pd.DataFrame, replicate: pd.DataFrame
) -> None:
    found = found_for(runs_of(explore), [runs_of(refine), runs_of(replicate)])
    assert (found.source, found.rounds) == (Source.OTHER_ROUNDS, ["refine", "replicate"])
    repeated = sum(int((frame["recipe"].value_counts() > 1).sum()) for frame in (refine, replicate))
    within = sum(len(frame) - frame["recipe"].nunique() for frame in (refine, replicate))
    assert found.configurations == repeated
    assert found.freedom == pytest.approx(within)
    assert found.model.counts_G.tolist() == [1] * 432
    assert found.model.run_sds_G == pytest.approx(found.model.run_sds_G[0])
    assert 0.01 < found.model.typical_sd < 0.03


def test_a_round_with_another_metric_says_nothing() -> None:
    other = Runs(seeded(noisy(5, 3)).frame.assign(validation_loss=1.0), statistics_of(_single().frame).question)
    assert noise_from_seeds(_single(), [other]) is not None
    by_validation = runs_of(other.frame, "validation_loss")
    assert noise_from_seeds(_single(), [by_validation]) is None


def _single(n: int = 6, seed: int = 0) -> Runs:
    return seeded({i: [i / 2] for i in range(1, n + 1)}, first_seed=seed)


def test_a_run_that_two_other_rounds_have_counts_once() -> None:
    other = seeded(noisy(5, 3), "refine")
    again = runs_of(other.frame.assign(round="again"))
    once, twice = found_for(_single(), [other]), found_for(_single(), [other, again])
    assert (twice.freedom, twice.rounds, twice.configurations) == (once.freedom, ["refine"], 5)


def test_single_runs_with_one_seed_have_no_noise_of_the_seed_between_them() -> None:
    other = seeded(noisy(8, 4, seed_sd=2.0), "replicate")
    alike = found_for(_single(), [other])
    assert alike.model.typical_sd == pytest.approx(0.1, rel=0.4)
    mixed = runs_of(pd.concat([_single(3).frame, _single(6, seed=1).frame.tail(3)], ignore_index=True))
    assert found_for(mixed, [other]).model.typical_sd > 1
    counted = runs_of(_single().frame.assign(seed_known=False))
    assert found_for(counted, [other]).model.typical_sd > 1


def test_few_seeds_are_added_to_those_of_other_rounds() -> None:
    few = seeded({1: [1.0, 1.1], 2: [2.0, 2.1], 3: [3.0]})
    assert noise_from_seeds(few, []) is None
    other = seeded(noisy(5, 3), "refine")
    found = found_for(few, [other])
    assert found.source is Source.OTHER_ROUNDS
    assert found.freedom == pytest.approx(8 + 1)  # (5 - 1) (3 - 1), and (2 - 1) (2 - 1) of the round itself
    assert found.model.counts_G.tolist().count(2) == 2


def test_where_blocks_leave_too_little_the_seed_is_part_of_the_noise() -> None:
    """Two configurations with three seeds: 2 degrees of freedom with blocks, 4 without."""
    found = found_for(seeded(noisy(2, 3, seed_sd=1.0)))
    assert (found.freedom, found.model.n_seeds_shared) == (4, 0)
    assert found_for(seeded(noisy(3, 3, seed_sd=1.0))).model.n_seeds_shared == 3


def test_counted_seeds_are_no_blocks() -> None:
    """Rows of a file may be sorted by loss: the first run of each configuration is then its best."""
    losses = {i: sorted(xs) for i, xs in noisy(6, 5).items()}
    known = seeded(losses)
    counted = found_for(runs_of(known.frame.assign(imported=True, seed_known=False)))
    assert (counted.model.n_seeds_shared, found_for(known).model.n_seeds_shared) == (0, 5)
    assert counted.freedom == 24
    assert found_for(known).model.typical_sd < 0.7 * counted.model.typical_sd  # what wrong blocks would do


def test_an_import_with_a_seed_column_has_blocks() -> None:
    result = {"imported_from": "runs.csv"}
    jobs = [
        make_job(i, {"n_layers": i}, {"min_loss": 1.0, **result, "seed_source": source})
        for i, source in enumerate(["column", "count"])
    ]
    jobs += [make_job(2, {"n_layers": 2}, {"min_loss": 1.0, **result}), make_job(3, {"n_layers": 3}, {"min_loss": 1.0})]
    frame = results_frame(jobs)
    assert frame["imported"].tolist() == [True, True, True, False]
    assert frame["seed_known"].tolist() == [True, False, False, True]


def grid(noise: float) -> Runs:
    """A complete grid of three settings, one run each."""
    random = np.random.default_rng(5)
    points = list(product([1, 2, 3], [16, 32, 64], [False, True]))
    return runs_of(
        results_frame(
            [
                make_job(
                    place,
                    {"n_layers": depth, "state_size": size, "use_residual": switch},
                    {"min_loss": 3.0 - depth / 10 - size / 100 * depth + noise * float(random.standard_normal())},
                )
                for place, (depth, size, switch) in enumerate(points)
            ]
        )
    )


def test_what_settings_leave_bounds_the_noise() -> None:
    runs = grid(0.05)
    found = noise_from_settings(runs, decompose(runs))
    assert found is not None
    model = ols("min_loss ~ (C(n_layers) + C(state_size) + C(use_residual)) ** 2", runs.frame).fit()
    assert (found.source, found.freedom) == (Source.SETTINGS, model.df_resid)
    assert found.model.typical_sd == pytest.approx(np.sqrt(model.mse_resid), rel=0.2)
    assert found.model.run_sds_G == pytest.approx(np.sqrt(model.mse_resid), rel=0.05)
    assert noise_from_seeds(runs, []) is None
    assert statistics_of(runs.frame).noise is not None


def test_too_little_is_no_noise() -> None:
    few = runs_of(grid(0.05).frame.head(9))  # 9 runs: no degree of freedom is left beyond pairs of settings
    assert noise_from_settings(few, decompose(few)) is None
    assert statistics_of(few.frame).noise is None
    diverged = runs_of(grid(0.05).frame.assign(diverged=True))
    assert noise_from_seeds(diverged, [few]) is None
    assert noise_from_settings(diverged, decompose(diverged)) is None
