"""Run-to-run noise: how much a metric differs between runs that differ in their seed alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import pandas as pd
from scipy import stats

from rnnlab.analysis.results import comparable


@dataclass(frozen=True)
class Noise:
    """The spread over seeds, pooled over the configurations that ran with several."""

    sd: float  # of one run, in the unit of the metric
    freedom: int  # degrees of freedom: runs minus configurations
    configurations: int
    rounds: Sequence[str]  # in which the seeds were

    @property
    def least_difference(self) -> float:
        """Two single runs that differ by less cannot be told apart at 5 % (Student's t with the pooled SD)."""
        return float(stats.t.ppf(0.975, self.freedom)) * self.sd * sqrt(2)


def run_noise(rounds: Sequence[pd.DataFrame], by: str = "min_loss") -> Noise | None:
    """The pooled noise of several rounds; None where no configuration ran with two seeds.

    The variance is the mean of the configurations' variances, weighted by their degrees of freedom.
    Raises UsageError for a metric that no result has.
    """
    usable = [found for frame in rounds if len(found := comparable(frame, by)[["recipe", "round", by]])]
    if not usable:
        return None
    runs = pd.concat(usable)
    groups = runs.groupby("recipe", sort=True)[by]
    sizes, variances = groups.size(), groups.var(ddof=1)
    several = sizes[sizes > 1].index
    freedom = int((sizes[several] - 1).sum())
    if not freedom:
        return None
    pooled = float((variances[several] * (sizes[several] - 1)).sum()) / freedom
    where = runs.loc[runs["recipe"].isin(several), "round"]
    return Noise(sqrt(pooled), freedom, len(several), list(dict.fromkeys(where.tolist())))


def within_noise(frame: pd.DataFrame, noise: Noise, by: str = "min_loss") -> int:
    """How many runs besides the best one are closer to it than two single runs can be told apart."""
    values = comparable(frame, by)[by]
    return int((values < values.min() + noise.least_difference).sum()) - 1 if len(values) else 0
