"""The settings that distinguish the configurations in a list, and those that they have in common."""

from collections.abc import Sequence

from rnnlab.analysis.runs import Rows
from rnnlab.analysis.words.names import describe, setting_at


def distinguishing(rows: Rows, settings: Sequence[str]) -> list[str]:
    """The settings that take several values in these rows; all of them if none does."""
    return [name for name in settings if len(rows.levels(name)) > 1] or list(settings)


def names_of(rows: Rows, settings: Sequence[str]) -> list[str]:
    """Each row in words, by the settings that distinguish it from the others."""
    own = distinguishing(rows, settings)
    return [describe(row, own) for row in rows.frame.to_dict("records")]


def in_common(rows: Rows, settings: Sequence[str]) -> str:
    """The settings that all of the rows share: "cell gru, L = 2"; empty if there are none."""
    own = distinguishing(rows, settings)
    return ", ".join(setting_at(name, rows.levels(name)[0]) for name in settings if name not in own)
