"""How many runs of each level of each setting are below the threshold of the question."""

from dataclasses import dataclass
from typing import Any

from rnnlab.analysis.runs import Runs

LEAST_SPREAD = 0.1  # between the shares of two levels, to be worth a sentence


@dataclass(frozen=True)
class BelowThreshold:
    """The counts of one setting."""

    setting: str
    counts: dict[Any, tuple[int, int]]  # level -> runs below the threshold, all runs that can be compared

    @property
    def spread(self) -> float:
        """Between the levels with the largest and the smallest share below; 0..1."""
        shares = [low / total for low, total in self.counts.values()]
        return max(shares) - min(shares)


def below_threshold(runs: Runs, threshold: float) -> list[BelowThreshold]:
    """The counts of each setting that varies, in payload order."""
    rows = runs.in_ranges.comparable
    low = rows.frame[runs.metric] < threshold
    return [
        BelowThreshold(
            name,
            {
                level: (int((low & rows.at(name, level)).sum()), int(rows.at(name, level).sum()))
                for level in rows.levels(name)
            },
        )
        for name in rows.factors
    ]
