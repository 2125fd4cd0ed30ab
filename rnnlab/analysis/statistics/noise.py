"""Run-to-run noise: how much a metric differs between runs that differ in their seed alone.

A part of it the seed does to all configurations alike, for its windows and initial values are the same for all: two
runs with the same seed differ by less noise than two with different ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd
from scipy import stats

from rnnlab.analysis.runs import comparable
from rnnlab.analysis.statistics.ranking import rank

_NOTHING = 1e-9  # of the spread over seeds: what is less comes from rounding


@dataclass(frozen=True)
class Noise:
    """The spread over seeds, pooled over the configurations that ran with several; in the unit of the metric."""

    sd: float  # of one run, from seed to seed
    own_sd: float  # of one run, beyond what its seed does to all configurations; `sd` where that is not known
    freedom: int  # degrees of freedom of `own_sd`
    same_seed: bool  # whether it is known: `own_sd` is then about runs with the same seed
    configurations: int
    rounds: Sequence[str]  # in which the seeds were

    @property
    def least_difference(self) -> float:
        """Two runs (with the same seed, if `same_seed`) that differ by less cannot be told apart at 5 % (Student)."""
        return float(stats.t.ppf(0.975, self.freedom)) * self.own_sd * sqrt(2)


def run_noise(rounds: Sequence[pd.DataFrame], by: str = "min_loss") -> Noise | None:
    """The pooled noise of several rounds; None where no configuration ran with two seeds.

    A run that several rounds have counts once. `sd` is pooled: the mean of the configurations' variances, weighted by
    their degrees of freedom. `own_sd` is what a two-way layout of configurations and seeds leaves; the seeds of
    imported runs say nothing, and those of different rounds are different ones: their runs may differ in length.
    Raises UsageError for a metric that no result has.
    """
    usable = [found for frame in rounds if len(found := comparable(frame, by))]
    if not usable:
        return None
    columns = ["config_hash", "recipe", "round", "seed", "imported", by]
    runs = pd.concat([found[columns] for found in usable], ignore_index=True).drop_duplicates("config_hash")
    runs = runs[runs.groupby("recipe")[by].transform("size") > 1]
    if runs.empty:
        return None
    recipes = runs["recipe"]
    left = (runs[by] - runs.groupby("recipe")[by].transform("mean")).to_numpy(dtype=float)
    within = len(runs) - recipes.nunique()
    sd = sqrt(float(left @ left) / within)
    # Seeds beside configurations: both the values and the columns of the seeds without the means of configurations.
    seeds = (runs["round"] + " " + runs["seed"].astype(str)).where(~runs["imported"])
    dummies = pd.get_dummies(seeds, dtype=float)
    columns_of_seeds = (dummies - dummies.groupby(recipes).transform("mean")).to_numpy(dtype=float)
    coefficients, _, rank_of_seeds, _ = np.linalg.lstsq(columns_of_seeds, left, rcond=_NOTHING)
    own = left - columns_of_seeds @ coefficients
    freedom = within - int(rank_of_seeds)
    same_seed = within > freedom > 0
    own_sd = sqrt(float(own @ own) / freedom) if same_seed else sd
    return Noise(
        sd=sd,
        own_sd=own_sd if own_sd > _NOTHING * sd else 0.0,
        freedom=freedom if same_seed else within,
        same_seed=same_seed,
        configurations=recipes.nunique(),
        rounds=list(dict.fromkeys(runs["round"].tolist())),
    )


def within_noise(frame: pd.DataFrame, noise: Noise, by: str = "min_loss") -> int | None:
    """How many runs besides the best one are closer to it than two runs can be told apart.

    Where the noise is that of runs with the same seed, those with the seed of the best; None where it has none that
    says something.
    """
    runs = rank(comparable(frame, by), by)
    best, others = runs.iloc[0], runs.iloc[1:]
    if noise.same_seed:
        if best["imported"]:
            return None
        others = others[(others["seed"] == best["seed"]) & ~others["imported"]]
    return int((others[by] < best[by] + noise.least_difference).sum())
