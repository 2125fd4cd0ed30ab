"""What the best tenth of the runs have more often than all runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rnnlab.analysis.runs import Runs

_LEAST_LIFT = 0.2  # of a level's share among the best over its share among all, to be worth naming
_MOST_LIFTED = 3


@dataclass(frozen=True)
class Lifted:
    """A level of a setting that is more frequent among the best runs."""

    setting: str
    level: Any
    count: int  # of the best runs that have it


@dataclass(frozen=True)
class BestTenth:
    """The best tenth of the runs that can be compared; at least one run."""

    runs: int  # that can be compared
    best: int  # of them in the best tenth
    lifted: Sequence[Lifted]  # levels that are more frequent among the best, by the size of the difference


def best_tenth(runs: Runs, settings: Sequence[str]) -> BestTenth:
    """The best tenth of a round, with the levels of these settings that it has more often than all runs."""
    ranked = runs.best_first
    n_best = max(1, len(ranked) // 10)
    lifts: dict[str, tuple[float, Any]] = {}
    for name in settings:
        for level in ranked.levels(name):
            here = ranked.at(name, level)
            lift = float(here.iloc[:n_best].mean() - here.mean())
            lifts[name] = max(lifts.get(name, (0.0, None)), (lift, level), key=lambda pair: pair[0])
    order = sorted((name for name in lifts if lifts[name][0] >= _LEAST_LIFT), key=lambda name: -lifts[name][0])
    told = [(name, lifts[name][1]) for name in order[:_MOST_LIFTED]]
    lifted = [Lifted(name, level, int(ranked.at(name, level).iloc[:n_best].sum())) for name, level in told]
    return BestTenth(len(ranked), n_best, lifted)
