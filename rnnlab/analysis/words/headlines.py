"""The finding above each picture. Each function returns one sentence without a full stop."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnnlab.analysis.labels import rounded
from rnnlab.analysis.statistics.best_tenth import BestTenth
from rnnlab.analysis.statistics.cost_points import CostPoints
from rnnlab.analysis.statistics.effects import Effects
from rnnlab.analysis.statistics.heatmap_cells import Grid, HeatmapCells
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.analysis.statistics.summary import Summary
from rnnlab.analysis.statistics.variance import Decomposition
from rnnlab.analysis.words import sentences
from rnnlab.analysis.words.markdown import where_text
from rnnlab.analysis.words.names import cell_text, phrase, setting_at, title
from rnnlab.analysis.words.sentences import capital, joined, no_clear_effect, strongest_effect

_NEARLY = 0.01  # relative: a loss this close to the best is nearly the best
_LEAST_SAVING = 0.01  # of the cost
_WORTH_NAMING = 0.01  # of the variance: smaller interactions are not named


def best_of_all(statistics: RoundStatistics) -> str:
    """The best run of how many, and the median of all."""
    summary, runs = statistics.summary, statistics.runs
    if runs.best is None:
        return f"No run can be compared yet: {summary.finished} of {summary.jobs} jobs are finished"
    run = sentences.named_run(runs.best, runs.metric, runs.all.factors)
    many = "Best of 1 run" if summary.comparable == 1 else f"Best of {summary.comparable} runs"
    return f"{many}: {run}; median {summary.median:.4f}" + so_far(summary)


def so_far(summary: Summary) -> str:
    """How many jobs a headline is about, if some are not finished."""
    return f" ({summary.finished} of {summary.jobs} jobs finished)" if summary.finished < summary.jobs else ""


def strongest(statistics: RoundStatistics) -> str:
    """The strongest effect; if none is clear, what is known instead."""
    if not len(statistics.effects):
        return "The finished runs differ in their seed only"
    if found := strongest_effect(statistics.effects, "the loss"):
        return capital(found)
    return no_clear_effect(statistics.effects)


def effects(found: Effects, focused: Effects | None = None, focus: Mapping[str, Any] | None = None) -> str:
    """How many paired effects are clear, and the strongest of them; then the strongest of the focused runs."""
    clear = len(found.clear)
    if not clear:
        return no_clear_effect(found)
    verb = "is" if clear == 1 else "are"
    first = f"{clear} of {len(found)} effects {verb} clear; the strongest: {strongest_effect(found, 'the loss')}"
    inside = "" if focused is None else strongest_effect(focused, "it")
    return joined([first, f"with {where_text(focus or {})}: {inside}" if inside else ""])


def interactions(shares: Decomposition) -> str:
    """The setting that explains most alone, and the pair that explains most beyond its two settings."""
    name, share = max(shares.main.items(), key=lambda item: np.nan_to_num(item[1]))
    if np.isnan(share):
        return "What each setting explains alone cannot be separated"
    alone = f"{capital(title(name))} alone explains {share:.0%} of the variance"
    pair, both = max(shares.interactions.items(), key=lambda item: np.nan_to_num(item[1]))
    if not both >= _WORTH_NAMING:
        return f"{alone}; no two settings explain more together than {_WORTH_NAMING:.0%} beyond what each does alone"
    return f"{alone}; {title(pair[0])} and {title(pair[1])} together explain a further {both:.0%}"


def of_the_best(found: BestTenth) -> str:
    """What the best tenth of the runs have more often than all: "of the best 43 of 432 runs, 43 have S = 256"."""
    if found.best == 1:
        rare = ", ".join(setting_at(one.setting, one.level) for one in found.lifted)
        return f"The best of {found.runs} runs has {rare or 'no rare setting'}"
    if not found.lifted:
        return f"No setting stands out among the best {found.best} of {found.runs} runs"
    ordered = sorted(found.lifted, key=lambda one: -one.count)
    parts = [f"{one.count} have {setting_at(one.setting, one.level)}" for one in ordered]
    return capital(f"of the best {found.best} of {found.runs} runs, {', '.join(parts)}")


def saving(points: CostPoints, unit: str) -> str:
    """What the best configuration costs, and how much less one costs that is nearly as good.

    unit: of the cost, "parameters" or "seconds".
    """
    costs, losses, front = points.costs, points.losses, points.front
    best = front[-1]
    who = "the best configuration"
    if len(points) < points.configurations:
        who = f"the best of the {len(points)} of {points.configurations} configurations with known {unit}"
    told = f"{who}, {losses[best]:.4f}, takes {rounded(costs[best])} {unit}"
    if len(front) == 1:
        return f"{capital(told)}, and none takes less"
    near = [place for place in front if losses[place] <= losses[best] + _NEARLY * abs(losses[best])]
    less = 1 - costs[near[0]] / costs[best]
    if less >= _LEAST_SAVING:
        return (
            f"{capital(told)}; {losses[near[0]]:.4f}, within {_NEARLY:.0%} of it, takes {less:.0%} less "
            f"({rounded(costs[near[0]])})"
        )
    return f"{capital(told)}; none that takes clearly less comes within {_NEARLY:.0%} of it"


def lowest_cell(heatmap: HeatmapCells) -> str:
    """The best and the worst cell of a heat map, by their medians."""
    choice = heatmap.choice
    cells = [
        (float(grid.medians[row, column]), grid, heatmap.up[row], heatmap.across[column])
        for grid in heatmap.grids
        for row, column in np.argwhere(np.isfinite(grid.medians)).tolist()
    ]

    def told(cell: tuple[float, Grid, Any, Any]) -> str:
        median, grid, row, column = cell
        where = [phrase(choice.up, row), phrase(choice.across, column)]
        if choice.panels is not None:
            where.append(setting_at(choice.panels, grid.level))
        return f"{cell_text(median)} at {', '.join(where)}"

    best, worst = (extreme(cells, key=lambda cell: cell[0]) for extreme in (min, max))
    return f"Lowest median {told(best)}; highest {told(worst)}"
