"""Configurations with their seeds, and which may be the best, on the published round and on made-up ones."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.replicates import Replicates
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.analysis.words import seed_sentences
from rnnlab.queue.job import Job
from tests.support.made_up_rounds import made_up_round
from tests.support.published_runs import SWITCHES, make_job, published_csv
from tests.support.round_statistics import statistics_of


def seeded(losses: Mapping[int, Sequence[float]]) -> pd.DataFrame:
    """One configuration a key, one seed a loss."""
    return results_frame(
        [
            make_job(100 * layers + seed, {"n_layers": layers}, {"min_loss": x}, seed=seed)
            for layers, xs in losses.items()
            for seed, x in enumerate(xs)
        ]
    )


def replicates(frame: pd.DataFrame) -> Replicates:
    """The configurations, with the noise of the same round."""
    return statistics_of(frame).replicates


def test_the_published_replicates_against_scipy(replicate: pd.DataFrame) -> None:
    groups: dict[tuple[int, ...], list[float]] = {}
    names = [*SWITCHES, "n_layers", "state_size"]
    for row in published_csv(3).to_dict("records"):
        groups.setdefault(tuple(row[name] for name in names), []).append(row["min_loss"])
    expected = sorted(groups.values(), key=mean)
    table = replicates(replicate).table
    assert table["n"].tolist() == [len(losses) for losses in expected]
    assert table["mean"].tolist() == pytest.approx([mean(losses) for losses in expected])
    assert table["sd"].tolist() == pytest.approx([stdev(losses) for losses in expected])
    for row, losses in zip(table.to_dict("records"), expected, strict=True):
        bounds = stats.ttest_1samp(losses, 0.0).confidence_interval(0.95)
        assert [row["low"], row["high"]] == pytest.approx([bounds.low, bounds.high])


def test_four_of_the_nine_published_replicates_may_be_the_best(replicate: pd.DataFrame) -> None:
    found = replicates(replicate)
    best_two = found.table.head(2).to_dict("records")
    assert [f"{row['mean']:.4f} {row['sd']:.3f}" for row in best_two] == ["1.5516 0.016", "1.5518 0.010"]
    assert found.table["in_set"].tolist() == [True] * 4 + [False] * 5
    assert found.members.index.tolist() == [0, 1, 2, 3]
    assert found.table["best_chance"].sum() == pytest.approx(1.0)
    assert found.table["best_chance"].tolist()[:2] == pytest.approx([0.44, 0.42], abs=0.05)
    # Moderated: between the own standard deviation and that of an ordinary configuration.
    assert found.noise is not None
    ordinary = found.noise.model.typical_sd
    for row in found.table.to_dict("records"):
        assert (
            min(row["sd"], ordinary) * 0.97 <= row["sd_moderated"] <= max(row["sd"], ordinary) * 1.03
        )  # within simulation error


def test_seeds_in_common_are_blocks() -> None:
    """A seed moves all configurations by far more than they differ."""
    random = np.random.default_rng(2)
    of_seed = 10.0 * random.standard_normal(4) - 20.0
    losses = {i: (of_seed + i + 0.05 * random.standard_normal(4)).tolist() for i in range(1, 5)}
    found = replicates(seeded(losses))
    assert found.table["in_set"].tolist() == [True, False, False, False]
    assert found.table["sd"].min() > 1
    assert found.table["sd_moderated"].max() < 0.5
    counted = replicates(seeded(losses).assign(imported=True, seed_known=False))
    assert counted.table["in_set"].all()


def test_configurations_of_which_a_seed_diverged_come_last_and_take_no_part() -> None:
    nan, inf = np.nan, np.inf
    losses = {1: [1.0, 1.1, 1.2], 2: [0.1, 0.2, nan], 3: [0.3, inf, nan], 4: [nan] * 3, 5: [1.5, 1.4, 1.9]}
    found = replicates(seeded(losses))
    assert found.table["n_layers"].tolist() == [1, 5, 2, 3, 4]
    assert found.table["diverged"].tolist() == [0, 0, 1, 2, 3]
    assert found.table["n"].tolist() == [3, 3, 2, 1, 0]
    columns = ["in_set", "sd_moderated", "best_chance", "win_chance"]
    assert found.table[columns].isna().all(axis=1).tolist() == [False, False, True, True, True]
    alone = replicates(seeded({layers: losses[layers] for layers in (1, 5)}))
    assert found.steady[columns].to_numpy(float) == pytest.approx(alone.table[columns].to_numpy(float))


def test_without_noise_nothing_is_judged() -> None:
    found = replicates(results_frame(made_up_round(10).jobs))
    assert found.noise is None
    assert found.table["n"].eq(1).all()
    assert found.table[["in_set", "sd_moderated", "best_chance", "win_chance", "low"]].isna().all().all()
    assert found.members.empty and found.unstable_members.empty


def test_runs_without_noise_differ_or_are_equal() -> None:
    found = replicates(seeded({1: [1.0, 1.0], 2: [1.0, 1.0], 3: [1.1, 1.1]}))
    assert found.table["in_set"].tolist() == [True, True, False]


def test_an_equal_order_of_jobs_changes_nothing(replicate: pd.DataFrame) -> None:
    found, again = replicates(replicate), replicates(replicate.iloc[::-1].reset_index(drop=True))
    # The last digit of a mean depends on the order of the sum.
    assert found.table["in_set"].tolist() == again.table["in_set"].tolist()
    assert found.table["best_chance"].tolist() == pytest.approx(again.table["best_chance"].tolist(), abs=0.01)


# Runs like those of deep networks with and without a residual: the switch helps only where there are several layers.

_DEPTHS, _SIZES, _SEEDS = (1, 2, 3), (16, 32, 64, 96), (0, 1, 2)


def residual_runs(names: Mapping[str, str], numbers: Mapping[int, int], stuck: float = 3.35) -> RoundStatistics:
    """24 configurations with three seeds. names: of the settings. numbers: that stand for the depths and sizes.

    Two deep configurations without the switch end at the same high loss, with almost no spread.
    """
    random = np.random.default_rng(11)
    of_seed = 0.025 * random.standard_normal(len(_SEEDS))
    jobs: list[Job] = []
    for depth in _DEPTHS:
        for place, size in enumerate(_SIZES):
            for switch in (False, True):
                is_stuck = depth == 3 and not switch and size >= 64
                cost = (0.02 if depth == 1 else 0.0) if switch else 0.1 * (depth - 1) ** 2
                level = stuck if is_stuck else 2.21 - 0.06 * place + cost
                for seed in _SEEDS:
                    noise = 0.003 * random.standard_normal() if is_stuck else 0.02 * random.standard_normal()
                    loss = level + noise + (0.0 if is_stuck else of_seed[seed])
                    model = {"n_layers": numbers[depth], "state_size": numbers[size], "use_residual": switch}
                    named = {names.get(name, name): value for name, value in model.items()}
                    jobs.append(make_job(len(jobs) + 1, named, {"min_loss": float(loss)}, seed=seed))
    return statistics_of(results_frame(jobs))


_PLAIN = {number: number for number in (*_DEPTHS, *_SIZES)}


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        ({}, _PLAIN),
        ({"n_layers": "depth", "state_size": "width", "use_residual": "use_skip"}, _PLAIN),
        ({}, {1: 3, 2: 1, 3: 2, 16: 64, 32: 96, 64: 16, 96: 32}),
    ],
)
def test_a_high_loss_with_a_small_spread_is_not_in_the_set_of_the_best(
    names: Mapping[str, str], numbers: Mapping[int, int]
) -> None:
    found = residual_runs(names, numbers)
    table = found.replicates.table
    high = table[table["mean"] > 3.3]
    assert (len(high), high["sd"].max() < 0.01) == (2, True)
    assert not high["in_set"].any()
    assert table["in_set"].tolist()[0] is True
    assert 2 <= len(found.replicates.members) <= 10
    assert not table.loc[table["mean"] > 2.3, "in_set"].any()
    said = seed_sentences.best_mean(found.replicates)
    assert said.startswith(f"Best mean: {table['mean'].iloc[0]:.4f} (SD ")
    assert "of 24 configurations may be the best (95 % confidence)" in said


def test_an_unstable_configuration_does_not_raise_the_noise_of_the_others() -> None:
    """One configuration with an SD of 10.9 among ordinary ones made a pooled noise that tied everything."""
    random = np.random.default_rng(4)
    losses = {i: (2.2 + 0.05 * i + 0.02 * random.standard_normal(3)).tolist() for i in range(1, 18)}
    calm, found = replicates(seeded(losses)), replicates(seeded(losses | {18: [3.4, 22.3, 3.3]}))
    assert calm.noise is not None and found.noise is not None
    assert found.noise.model.typical_sd == pytest.approx(calm.noise.model.typical_sd, rel=0.25)
    assert 2 <= len(found.members) <= 7
    assert set(found.unstable_members["n_layers"]) <= {18}
    said = [seed_sentences.separation(found), seed_sentences.best_mean(found), seed_sentences.chances(found)]
    assert not any(word in text for text in said for word in ("closer than", "told apart"))
