"""Runs of one configuration over several seeds, and which of the top configurations cannot be told apart."""

import numpy as np
import pandas as pd

from rnnlab.analysis.results import comparable, setting_columns

STANDARD_ERRORS = 2.0  # a difference of means smaller than this many of its standard errors is not counted as one
RULE = (
    f"two configurations count as different when their means differ by more than {STANDARD_ERRORS:g} standard errors "
    "of the difference (Welch: each with its own variance)"
)


def replicates(frame: pd.DataFrame, by: str = "min_loss") -> pd.DataFrame:
    """One row a configuration, best mean first: its settings, mean, sd and n over the seeds, and the best mean's test.

    sd is the sample standard deviation (n - 1), NaN for a single run. `difference` is the distance to the best mean,
    `limit` the distance from which it counts; `separable` is <NA> where one of the two ran only once.
    Ties are ordered by recipe. Raises UsageError for a metric that no result has.
    """
    groups = comparable(frame, by).groupby("recipe", sort=True)
    table = groups[setting_columns(frame)].first()
    table = table.assign(mean=groups[by].mean(), sd=groups[by].std(ddof=1), n=groups[by].size())
    table = table.sort_values("mean", kind="stable").reset_index()
    if table.empty:
        return table.assign(difference=[], limit=[], separable=[])
    square_error = table["sd"] ** 2 / table["n"]
    table["difference"] = table["mean"] - table["mean"].iloc[0]
    table["limit"] = STANDARD_ERRORS * np.sqrt(square_error + square_error.iloc[0])
    separable = (table["difference"] > table["limit"]).astype("boolean")
    table["separable"] = separable.mask(table["limit"].isna())
    return table


def not_separable(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a `replicates` table that were tested against the best mean and do not differ from it.

    The best itself is among them; empty where the best ran only once.
    """
    return table[~table["separable"].fillna(True).astype(bool)]
