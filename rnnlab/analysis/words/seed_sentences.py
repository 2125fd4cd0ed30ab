"""Findings about seeds in words. Each function returns one sentence without a full stop, or ""."""

from typing import Any

import pandas as pd

from rnnlab.analysis.runs import factors
from rnnlab.analysis.statistics.noise import Noise, within_noise
from rnnlab.analysis.statistics.ranking import best_run
from rnnlab.analysis.statistics.replicates import MOST_SEEDS, not_separable
from rnnlab.analysis.words.names import describe
from rnnlab.analysis.words.sentences import in_all, joined, listed

_MOST_MEANS = 5  # in one sentence


def separation(table: pd.DataFrame, brief: bool = False) -> str:
    """Which configurations of a `replicates` table cannot be told apart from the best (rule: `replicates.RULE`).

    brief: how many, without their means.
    """
    if len(table) < 2:
        return ""
    steady = table[table["diverged"] == 0]
    if steady.empty:
        return "No configuration can be called the best: of each a seed diverged"
    if (table["n"] + table["diverged"] == 1).all():
        return (
            "Every configuration ran with one seed only, so the top configurations cannot be told apart from luck: "
            "repeat them over several seeds before calling one the best"
        )
    if steady["n"].iloc[0] == 1:
        return (
            "The best configuration ran with one seed only, so it cannot be told apart from luck: repeat it over "
            "several seeds before calling it the best"
        )
    return f"The best configuration, mean {_mean(steady.iloc[0])}, {joined([_tied(steady, brief), _unsteady(table)])}"


def best_mean(table: pd.DataFrame, frame: pd.DataFrame, alone: bool = False) -> str:
    """The best configuration of a `replicates` table of this frame, by its mean, and what cannot be told apart from it.

    "Best mean: 1.5516 (SD 0.016, n 9) with residual, L = 2; it cannot be told apart from 6 of the 8 others"; empty
    where the best has no second seed. alone: without the others.
    """
    steady = table[(table["diverged"] == 0)]
    if steady.empty or steady["n"].iloc[0] < 2:
        return ""
    best = steady.iloc[0]
    settings = describe(best.to_dict(), factors(frame))
    text = f"Best mean: {_mean(best)}" + (f" with {settings}" if settings else "") + in_all(frame)
    if alone or len(table) < 2:
        return text
    return joined([text, f"it {_tied(steady, brief=True)}", _unsteady(table)])


def _tied(steady: pd.DataFrame, brief: bool) -> str:
    """Which of the configurations without a diverged seed, best first, are as good as the first."""
    if len(steady) == 1:
        return "is the only one of which no seed diverged"
    tied = not_separable(steady).iloc[1:]
    if tied.empty:
        return "differs from every other one that was repeated"
    others = f"cannot be told apart from {len(tied)} of the {len(steady) - 1} others"
    return others if brief else f"{others}: {listed([_mean(row) for _, row in tied.iterrows()], _MOST_MEANS - 1)}"


def _unsteady(table: pd.DataFrame) -> str:
    """How many configurations come last because a seed diverged; empty where none does."""
    lost = int((table["diverged"] > 0).sum())
    return f"{lost} of which a seed diverged {'comes' if lost == 1 else 'come'} last" if lost else ""


def _mean(row: "pd.Series[Any]") -> str:
    """The mean of a configuration over its seeds: "1.5516 (SD 0.016, n 9)"."""
    return f"{row['mean']:.4f} (SD {row['sd']:.3f}, n {row['n']})"


def seeds_to_go(table: pd.DataFrame) -> str:
    """How many seeds would tell the best of a `replicates` table from those that cannot be told from it."""
    tied = not_separable(table).iloc[1:]
    if tied.empty:
        return ""
    known = tied["seeds_needed"].dropna()
    many = len(tied) - len(known)
    parts = [f"{row.seeds_needed} seeds each for mean {row.mean:.4f}" for row in tied.loc[known.index].itertuples()]
    if many:
        parts.append(f"more than {MOST_SEEDS:,} for {'the other' if many == 1 else f'{many} others'}")
    told = listed(parts, _MOST_MEANS)
    return f"Were the differences as they are measured, telling them from the best four times in five would take {told}"


def noise(frame: pd.DataFrame, found: Noise, by: str) -> str:
    """What runs differ by from seed to seed, and how many are that close to the best; empty for no noise at all."""
    if not found.least_difference:
        return ""
    source = f"{found.configurations} configuration{'s' if found.configurations > 1 else ''} of round"
    source += f"{'s' if len(found.rounds) > 1 else ''} {' and '.join(found.rounds)}"
    beyond = f", by {found.own_sd:.4f} beyond what the seed does to all configurations" if found.same_seed else ""
    runs = "two runs with the same seed" if found.same_seed else "two single runs"
    text = (
        f"From seed to seed {by} varies by SD {found.sd:.4f}{beyond} ({source}, {found.freedom} degrees of freedom): "
        f"{runs} closer than {found.least_difference:.4f} cannot be told apart"
    )
    close = _close_to_the_best(frame, found, by)
    return text if close is None else f"{text}, and {_other_runs(close)} that close to the best"


def within_the_noise(frame: pd.DataFrame, found: Noise, by: str) -> str:
    """How many runs the noise does not tell from the best; empty where the best ran with several seeds."""
    close = _close_to_the_best(frame, found, by) if found.least_difference else None
    return "" if close is None else f"{_other_runs(close)} within the noise of it ({found.least_difference:.4f})"


def _close_to_the_best(frame: pd.DataFrame, found: Noise, by: str) -> int | None:
    best = best_run(frame, by)
    single = best is not None and (frame["recipe"] == best["recipe"]).sum() == 1
    return within_noise(frame, found, by) if single else None


def _other_runs(count: int) -> str:
    return f"{count} other run{'s are' if count != 1 else ' is'}"
