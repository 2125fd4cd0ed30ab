"""The configurations of a round with their seeds, and which of them may be the best (best_set.py)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.best_set import CONFIDENCE, best_set
from rnnlab.analysis.statistics.round_noise import RoundNoise, Source

UNSTABLE = 10.0  # times the standard deviation of an ordinary configuration


@dataclass(frozen=True, eq=False)
class Replicates:
    """The configurations of a round, best mean first; ties are sorted by recipe.

    Columns of the table: the settings, `mean`, `sd` and `n` over the seeds. `diverged` is the number of seeds that
    cannot be compared, which `n` does not count: configurations with such seeds come last and take no part in the set.
    `sd` is the sample standard deviation (n - 1), NaN for a single run; `low` and `high` bound the mean at 95 %
    (Student).

    From the noise of the round: `sd_moderated`, the standard deviation of one run with what the other configurations
    say about it; `in_set`, whether the configuration may be the best (95 % confidence for the set); `best_chance` that
    it is; `win_chance`, that it has the lowest metric if every configuration runs once more. NaN and <NA> where the
    noise is unknown or a seed diverged; an upper bound of the noise gives a set, which may be too large, and no chance.
    """

    table: pd.DataFrame  # one row per configuration
    runs: Runs  # that the configurations are of
    noise: RoundNoise | None  # None: the noise is unknown

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def steady(self) -> pd.DataFrame:
        """The configurations of which no seed diverged, best first."""
        return self.table[self.table["diverged"] == 0]

    @cached_property
    def best(self) -> "pd.Series[Any] | None":
        """The configuration with the best mean, no seed diverged; None if there is none."""
        return None if self.steady.empty else self.steady.iloc[0]

    @cached_property
    def members(self) -> pd.DataFrame:
        """The configurations that may be the best; empty if the noise is unknown."""
        return self.table[self.table["in_set"].fillna(False).astype(bool)]

    @cached_property
    def unstable_members(self) -> pd.DataFrame:
        """Those that may be the best because their own noise is large; the best mean is none of them."""
        if self.noise is None:
            return self.members.head(0)
        others = self.members[self.members.index != self.steady.index[0]] if len(self.steady) else self.members
        return others[others["sd_moderated"] > UNSTABLE * self.noise.model.typical_sd]

    @cached_property
    def several(self) -> "Replicates":
        """The best configuration, and those that ran with several seeds."""
        return Replicates(self.table[(self.table["n"] > 1) | (self.table.index == 0)], self.runs, self.noise)

    @cached_property
    def repeated(self) -> int:
        """How many configurations have several seeds that can be compared."""
        return int((self.table["n"] > 1).sum())

    @property
    def any_repeated(self) -> bool:
        """Whether a configuration has several seeds that can be compared."""
        return self.repeated > 0

    @property
    def all_repeated(self) -> bool:
        """Whether every configuration ran with several seeds, diverged or not."""
        return bool((self.table["n"] + self.table["diverged"] > 1).all())

    @property
    def none_repeated(self) -> bool:
        """Whether every configuration ran with one seed."""
        return bool((self.table["n"] + self.table["diverged"] == 1).all())

    @property
    def with_diverged(self) -> int:
        """How many configurations have a seed that diverged."""
        return int((self.table["diverged"] > 0).sum())

    def seeds_of(self, recipe: str) -> pd.DataFrame:
        """The runs of a configuration that can be compared."""
        runs = self.runs.comparable.frame
        return runs[runs["recipe"] == recipe]


def replicates(runs: Runs, noise: RoundNoise | None) -> Replicates:
    """The configurations of the finished runs. noise: of the same runs."""
    frame, diverged, names = runs.frame, runs.diverged_counts, runs.all.settings
    settings = frame.loc[frame["recipe"].isin(diverged.index)].groupby("recipe", sort=True)[names]
    groups = runs.losses.groupby(runs.comparable.frame["recipe"])
    table = settings.first().assign(mean=groups.mean(), sd=groups.std(ddof=1), n=groups.size(), diverged=diverged)
    table["n"] = table["n"].fillna(0).astype(int)
    table = table.reset_index().sort_values("mean", kind="stable")
    table = table.sort_values("diverged", key=lambda counts: counts > 0, kind="stable").reset_index(drop=True)
    mean, sd, n = (table[name].to_numpy(dtype=float) for name in ("mean", "sd", "n"))
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * sd / np.sqrt(n)
    table["low"], table["high"] = mean - reach, mean + reach
    return Replicates(table.assign(**_from_noise(table["recipe"], noise)), runs, noise)


def _from_noise(recipes: "pd.Series[str]", noise: RoundNoise | None) -> "dict[str, pd.Series[Any]]":
    """The columns sd_moderated, in_set, best_chance and win_chance, for these configurations."""
    columns: dict[str, pd.Series[Any]] = {
        "sd_moderated": pd.Series(np.nan, index=recipes.index),
        "in_set": pd.Series(pd.NA, index=recipes.index, dtype="boolean"),
        "best_chance": pd.Series(np.nan, index=recipes.index),
        "win_chance": pd.Series(np.nan, index=recipes.index),
    }
    if noise is None:
        return columns
    found = best_set(noise.model)
    values = {"sd_moderated": noise.model.run_sds_G, "in_set": found.members_G}
    if noise.source is not Source.SETTINGS:
        values |= {"best_chance": found.chances_G, "win_chance": found.wins_G}
    for name, values_G in values.items():
        by_recipe = pd.Series(values_G, index=list(noise.recipes), dtype=columns[name].dtype)
        columns[name] = by_recipe.reindex(recipes).set_axis(recipes.index)
    return columns
