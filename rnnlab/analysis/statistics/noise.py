"""Run-to-run noise: how much a metric differs between runs that differ in their seed alone.

A part of it is common to all configurations, because a seed selects the same windows and initial values for all: two
runs with the same seed differ by less noise than two runs with different seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd
from scipy import stats

from rnnlab.analysis.runs import Runs

_NOTHING = 1e-9  # of the spread over seeds: less than this is rounding


@dataclass(frozen=True)
class Noise:
    """The spread over seeds, pooled over the configurations that ran with several; in the unit of the metric."""

    sd: float  # of one run, from seed to seed
    own_sd: float  # of one run, without the part that its seed has on all configurations; `sd` if that is unknown
    freedom: int  # degrees of freedom of `own_sd`
    same_seed: bool  # whether that part is known: `own_sd` is then about runs with the same seed
    configurations: int  # that ran with several seeds
    rounds: Sequence[str]  # in which the seeds ran

    @property
    def least_difference(self) -> float:
        """Two runs (with the same seed, if `same_seed`) that differ by less cannot be told apart at 5 % (Student)."""
        return float(stats.t.ppf(0.975, self.freedom)) * self.own_sd * sqrt(2)


def run_noise(rounds: Sequence[Runs]) -> Noise | None:
    """The pooled noise of several rounds with the same metric; None if no configuration ran with two seeds.

    A run that several rounds contain counts once. `sd` is pooled: the mean of the configurations' variances, weighted
    by their degrees of freedom. `own_sd` is the residual of a two-way layout of configurations and seeds. The seeds of
    imported runs carry no information. Seeds of different rounds are different ones: their runs may differ in length.
    """
    usable = [runs for runs in rounds if len(runs.comparable)]
    if not usable:
        return None
    by = usable[0].metric
    columns = ["config_hash", "recipe", "round", "seed", "imported", by]
    runs = pd.concat([one.comparable.frame[columns] for one in usable], ignore_index=True).drop_duplicates(
        "config_hash"
    )
    runs = runs[runs.groupby("recipe")[by].transform("size") > 1]
    if runs.empty:
        return None
    recipes = runs["recipe"]
    left = (runs[by] - runs.groupby("recipe")[by].transform("mean")).to_numpy(dtype=float)
    within = len(runs) - recipes.nunique()
    sd = sqrt(float(left @ left) / within)
    # Two-way layout: the means of the configurations are removed from the values and from the columns of the seeds.
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


def within_noise(runs: Runs, noise: Noise) -> int | None:
    """How many runs other than the best one differ from it by less than the least difference of two runs.

    If the noise is that of runs with the same seed, only runs with the seed of the best count; None if the best was
    imported, so that its seed carries no information.
    """
    best, others = runs.best_first.frame.iloc[0], runs.best_first.frame.iloc[1:]
    if noise.same_seed:
        if best["imported"]:
            return None
        others = others[(others["seed"] == best["seed"]) & ~others["imported"]]
    return int((others[runs.metric] < best[runs.metric] + noise.least_difference).sum())
