"""Findings about seeds in words. Each function returns one sentence without a full stop, or an empty text."""

from typing import Any

import pandas as pd

from rnnlab.analysis.statistics.best_set import CONFIDENCE
from rnnlab.analysis.statistics.replicates import Replicates
from rnnlab.analysis.statistics.round_noise import RoundNoise, Source
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.analysis.words.names import describe
from rnnlab.analysis.words.sentences import capital, in_all, joined, listed, lost

_CONFIDENCE = f"{100 * CONFIDENCE:.0f} %"
RULE = (
    "a configuration may be the best unless another one is clearly better, given the noise of both; the best one is "
    f"among those that may be with {_CONFIDENCE} confidence (multiple comparisons with the best)"
)
_MOST_MEANS = 5  # in one sentence
_LEAST_NOISE = 1e-5  # standard deviation: no table shows less


def separation(found: Replicates, brief: bool = False) -> str:
    """Which configurations may be the best (`RULE`); empty if there is only one configuration.

    brief: the best mean and how many, instead of their means.
    """
    if len(found) < 2:
        return ""
    if found.best is None:
        return f"No configuration can be called the best: each has a seed that {lost(found.runs)}"
    if brief:
        return joined([f"Best mean {_mean(found.best)}", _set(found), _unsteady(found)])
    return capital(joined([_set(found, with_means=found.any_repeated), _unsteady(found)]))


def best_mean(found: Replicates, alone: bool = False) -> str:
    """The best configuration, and how many may be the best.

    "Best mean: 1.5516 (SD 0.016, n 9) with residual, L = 2; 4 of 9 configurations may be the best (95 % confidence)".
    alone: without the others.
    """
    best = found.best
    if best is None:
        return ""
    settings = describe(best.to_dict(), found.runs.all.factors)
    value = f"Best: {best['mean']:.4f}" if found.none_repeated else f"Best mean: {_mean(best)}"
    text = value + (f" with {settings}" if settings else "") + in_all(found.runs)
    return text if alone or len(found) < 2 else joined([text, _set(found), _unsteady(found)])


def _set(found: Replicates, with_means: bool = False) -> str:
    """How many of the configurations without a diverged seed may be the best."""
    noise, n_steady = found.noise, len(found.steady)
    if n_steady == 1:
        return f"it is the only one without a seed that {lost(found.runs)}"
    if noise is None:
        return "which configurations may be the best is unknown: more seeds are needed"
    unstable = found.unstable_members
    ordinary = found.members[~found.members.index.isin(unstable.index)]
    is_best_in = bool(found.steady["in_set"].iloc[0])
    if len(ordinary) == 1 and is_best_in:
        text = f"no other {'stable ' if len(unstable) else ''}configuration may be the best{_given(noise)}"
    else:
        most = "at most " if noise.source is Source.SETTINGS else ""
        text = f"{most}{len(ordinary)} of {n_steady} configurations may be the best{_given(noise)}"
        if with_means and len(ordinary):
            text += f": {listed([_mean(row) for _, row in ordinary.iterrows()], _MOST_MEANS)}"
    allowed = "if the seeds that each configuration ran with are allowed for, the best mean is not one of them"
    return joined([text, _unstable(unstable), "" if is_best_in else allowed])


def _unstable(members: pd.DataFrame) -> str:
    """Configurations that may be the best because their noise is large."""
    if members.empty:
        return ""
    seeds = int(members["n"].max())
    rest = f"of which {seeds} seeds say little" if seeds > 1 else "of which one seed says little"
    if len(members) > 1:
        return f"so may {len(members)} unstable ones (SD up to {_sd(members['sd_moderated'].max())}), {rest}"
    row = members.iloc[0]
    own = f"SD {_sd(row['sd'])} over {row['n']} seeds" if row["n"] > 1 else f"SD {_sd(row['sd_moderated'])}"
    return f"so may 1 unstable one ({own}), {rest}"


def _given(noise: RoundNoise) -> str:
    """What the set rests on."""
    sd = f"SD {_sd(noise.model.typical_sd)}"
    if noise.source is Source.OTHER_ROUNDS:
        return f", given the noise ({sd}) of {_named(noise)}"
    if noise.source is Source.SETTINGS:
        return f", given noise of at most {sd} (what settings and pairs of settings do not explain)"
    return f" ({_CONFIDENCE} confidence)"


def _unsteady(found: Replicates) -> str:
    """How many configurations come last because a seed diverged; empty if there are none."""
    count = found.with_diverged
    return f"{count} with a seed that {lost(found.runs)} {'is' if count == 1 else 'are'} ranked last" if count else ""


def _mean(row: "pd.Series[Any]") -> str:
    """The mean of a configuration over its seeds: "1.5516 (SD 0.016, n 9)"."""
    return f"{row['mean']:.4f} (one seed)" if row["n"] == 1 else f"{row['mean']:.4f} (SD {row['sd']:.3f}, n {row['n']})"


def chances(found: Replicates) -> str:
    """How likely the best mean belongs to the best configuration, and how often it would win again.

    Empty if the noise is unknown or only bounded.
    """
    if found.best is None or len(found.steady) < 2 or found.noise is None or found.noise.source is Source.SETTINGS:
        return ""
    best = found.best
    return (
        f"The configuration with the best mean is truly the best with a chance of {_percent(best['best_chance'])}; a "
        f"rerun of every configuration would have it win in {_percent(best['win_chance'])}"
    )


def noise(statistics: RoundStatistics) -> str:
    """How much runs differ from seed to seed, and where that is known from; empty if it is unknown or nothing."""
    found = statistics.noise
    if found is None or found.model.typical_sd < _LEAST_NOISE:
        return ""
    sd, freedom = f"SD {_sd(found.model.typical_sd)}", f"{found.freedom:.0f} degrees of freedom"
    if found.source is Source.SETTINGS:
        return (
            "Too few configurations ran with several seeds to measure the noise: what settings and pairs of settings "
            f"do not explain ({sd}, {freedom}) is an upper bound of it"
        )
    many = f"{found.configurations} configuration{'' if found.configurations == 1 else 's'}"
    text = f"From seed to seed a run of an ordinary configuration varies by {sd} ({many} of {_named(found)}, {freedom})"
    if found.model.n_seeds_shared < 2:
        return text
    return f"{text}, in addition to what a seed does to all configurations alike (SD {_sd(found.model.seed_sd)})"


def _named(found: RoundNoise) -> str:
    return f"round{'' if len(found.rounds) == 1 else 's'} {', '.join(found.rounds)}"


def _sd(value: float) -> str:
    """Two digits; three above 1."""
    return f"{value:.3g}" if value >= 1 else f"{value:.2g}"


def _percent(share: float) -> str:
    if share < 0.01:
        return "less than 1 %"
    return "more than 99 %" if share > 0.99 else f"{100 * share:.0f} %"
