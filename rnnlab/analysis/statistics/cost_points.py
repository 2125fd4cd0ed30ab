"""The loss of each configuration and what it costs: means over seeds, and the Pareto front."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rnnlab.analysis.runs import Rows, Runs
from rnnlab.spec.pareto import pareto_front

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CostPoints:
    """The configurations that can be compared and have a known cost. Both numbers are better when lower."""

    table: pd.DataFrame  # the first run of each configuration, with its means in the columns `loss` and `cost`
    configurations: int  # that can be compared, with or without a known cost

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def rows(self) -> Rows:
        """The table, with the settings that vary among the configurations."""
        return Rows(self.table)

    @cached_property
    def costs(self) -> Floats:
        """The cost of each configuration, mean over its seeds; above 0."""
        return self.table["cost"].to_numpy(dtype=float)

    @cached_property
    def losses(self) -> Floats:
        """The metric of each configuration, mean over its seeds."""
        return self.table["loss"].to_numpy(dtype=float)

    @cached_property
    def front(self) -> list[int]:
        """The places of the Pareto front, cheapest first, best last."""
        return pareto_front(zip(self.costs.tolist(), self.losses.tolist(), strict=True))


def cost_points(runs: Runs, cost: "pd.Series[float]") -> CostPoints:
    """The configurations of a round with their cost.

    A configuration with a seed that diverged cannot be compared.
    cost: of each row of the round; NaN if it is not known.
    """
    diverged = runs.diverged_counts
    good = runs.comparable.frame
    configurations = good["recipe"].nunique()
    good = good[~good["recipe"].isin(diverged[diverged > 0].index)]
    good = good.assign(loss=good[runs.metric], cost=cost[good.index])
    good = good[good["cost"] > 0]
    means = good.groupby("recipe", sort=False)[["loss", "cost"]].mean()
    first = good.drop_duplicates("recipe").set_index("recipe", drop=False)
    first[["loss", "cost"]] = means.loc[first.index]
    return CostPoints(first.reset_index(drop=True), configurations)
