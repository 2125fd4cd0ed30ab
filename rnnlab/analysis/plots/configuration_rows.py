"""What tells the configurations in a list apart, and what they have in common."""

from collections.abc import Sequence

import pandas as pd

from rnnlab.analysis.runs import levels
from rnnlab.analysis.words.names import describe, setting_at


def telling(rows: pd.DataFrame, settings: Sequence[str]) -> list[str]:
    """Those of the settings that take several values in these rows; all of them where none does."""
    return [name for name in settings if len(levels(rows[name])) > 1] or list(settings)


def names_of(rows: pd.DataFrame, settings: Sequence[str]) -> list[str]:
    """Each row in words, by what tells it from the others."""
    own = telling(rows, settings)
    return [describe(row, own) for row in rows.to_dict("records")]


def in_common(rows: pd.DataFrame, settings: Sequence[str]) -> str:
    """The settings that all of the rows share: "cell gru, L = 2"; empty where there are none."""
    own = telling(rows, settings)
    return ", ".join(setting_at(name, levels(rows[name])[0]) for name in settings if name not in own)
