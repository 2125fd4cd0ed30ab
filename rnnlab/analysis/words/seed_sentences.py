"""Findings about seeds in words. Each function returns one sentence without a full stop, or an empty text."""

from typing import Any

import pandas as pd

from rnnlab.analysis.statistics.replicates import MOST_SEEDS, SIGNIFICANCE, Replicates
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.analysis.words.names import describe
from rnnlab.analysis.words.sentences import in_all, joined, listed

RULE = (
    f"two configurations count as different when a t-test gives p < {SIGNIFICANCE:g}: paired over the seeds that both "
    "ran with, or Welch's if they were imported or have fewer than two seeds in common; corrected for the number of "
    "pairs of configurations (Holm)"
)
_MOST_MEANS = 5  # in one sentence


def separation(found: Replicates, brief: bool = False) -> str:
    """Which configurations do not differ significantly from the best (`RULE`).

    brief: how many, without their means.
    """
    if len(found) < 2:
        return ""
    if found.best is None:
        return "No configuration can be called the best: each has a seed that diverged"
    if found.none_repeated:
        return (
            "Every configuration ran with one seed only, so the top configurations cannot be told apart: repeat them "
            "over several seeds before calling one the best"
        )
    if found.best["n"] == 1:
        return (
            "The best configuration ran with one seed only, so its lead may be luck: repeat it over several seeds "
            "before calling it the best"
        )
    return f"The best configuration, mean {_mean(found.best)}, {joined([_tied(found, brief), _unsteady(found)])}"


def best_mean(found: Replicates, alone: bool = False) -> str:
    """The best configuration by its mean, and how many do not differ from it significantly.

    "Best mean: 1.5516 (SD 0.016, n 9) with residual, L = 2; it cannot be told apart from 6 of the 8 others"; empty
    if the best has no second seed. alone: without the others.
    """
    best = found.best
    if best is None or best["n"] < 2:
        return ""
    settings = describe(best.to_dict(), found.runs.all.factors)
    text = f"Best mean: {_mean(best)}" + (f" with {settings}" if settings else "") + in_all(found.runs)
    if alone or len(found) < 2:
        return text
    return joined([text, f"it {_tied(found, brief=True)}", _unsteady(found)])


def _tied(found: Replicates, brief: bool) -> str:
    """Which of the configurations without a diverged seed are as good as the best."""
    if len(found.steady) == 1:
        return "is the only one without a diverged seed"
    tied = found.tied.iloc[1:]
    if tied.empty:
        return "differs from every other one that was repeated"
    others = f"cannot be told apart from {len(tied)} of the {len(found.steady) - 1} others"
    return others if brief else f"{others}: {listed([_mean(row) for _, row in tied.iterrows()], _MOST_MEANS - 1)}"


def _unsteady(found: Replicates) -> str:
    """How many configurations come last because a seed diverged; empty if there are none."""
    lost = found.with_diverged
    return f"{lost} with a diverged seed {'is' if lost == 1 else 'are'} ranked last" if lost else ""


def _mean(row: "pd.Series[Any]") -> str:
    """The mean of a configuration over its seeds: "1.5516 (SD 0.016, n 9)"."""
    return f"{row['mean']:.4f} (SD {row['sd']:.3f}, n {row['n']})"


def seeds_to_go(found: Replicates) -> str:
    """How many seeds would separate the best from the configurations that do not differ from it significantly."""
    tied = found.tied.iloc[1:]
    if tied.empty:
        return ""
    known = tied["seeds_needed"].dropna()
    many = len(tied) - len(known)
    parts = [f"{row.seeds_needed} seeds each for mean {row.mean:.4f}" for row in tied.loc[known.index].itertuples()]
    if many:
        parts.append(f"more than {MOST_SEEDS:,} for {'the other' if many == 1 else f'{many} others'}")
    told = listed(parts, _MOST_MEANS)
    return f"If the true differences equal the measured ones, finding them four times in five takes {told}"


def noise(statistics: RoundStatistics) -> str:
    """How much runs differ from seed to seed, and how many are that close to the best; empty without any noise."""
    found, by = statistics.noise, statistics.metric
    if found is None or not found.least_difference:
        return ""
    source = f"{found.configurations} configuration{'s' if found.configurations > 1 else ''} of round"
    source += f"{'s' if len(found.rounds) > 1 else ''} {' and '.join(found.rounds)}"
    beyond = (
        f", by {found.own_sd:.4f} without the effect that a seed has on all configurations" if found.same_seed else ""
    )
    runs = "two runs with the same seed" if found.same_seed else "two single runs"
    text = (
        f"From seed to seed {by} varies by SD {found.sd:.4f}{beyond} ({source}, {found.freedom} degrees of freedom): "
        f"{runs} closer than {found.least_difference:.4f} cannot be told apart"
    )
    close = statistics.within_noise
    return text if close is None else f"{text}, and {_other_runs(close)} that close to the best"


def within_the_noise(statistics: RoundStatistics) -> str:
    """How many runs the noise does not separate from the best; empty if the best ran with several seeds."""
    found, close = statistics.noise, statistics.within_noise
    if found is None or not found.least_difference or close is None:
        return ""
    return f"{_other_runs(close)} within the noise of it ({found.least_difference:.4f})"


def _other_runs(count: int) -> str:
    return f"{count} other run{'s are' if count != 1 else ' is'}"
