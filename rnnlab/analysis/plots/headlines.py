"""The finding over each picture, computed from the data. Each function returns one sentence without a full stop."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.plots.heatmap import cell_text
from rnnlab.analysis.plots.heatmap_cells import Choice, Grid
from rnnlab.analysis.plots.interactions import Shares
from rnnlab.analysis.runs import at_level, comparable, finished, levels
from rnnlab.analysis.statistics.ranking import rank
from rnnlab.analysis.words.markdown import where_text
from rnnlab.analysis.words.names import phrase, rounded, setting_at, title
from rnnlab.analysis.words.sentences import capital, is_clear, joined, no_clear_effect, strongest_effect
from rnnlab.spec.pareto import pareto_front

_LEAST_LIFT = 0.2  # of a level's share among the best over its share among all, to be worth naming
_MOST_LIFTED = 3
_NEARLY = 0.01  # relative: a loss this close to the best is nearly the best
_LEAST_SAVING = 0.01  # of the cost
_WORTH_NAMING = 0.01  # of the variance: smaller interactions are none


def effects(found: pd.DataFrame, focused: pd.DataFrame, focus: Mapping[str, Any]) -> str:
    """How many paired effects are clear, and the largest of them; then the largest of the focused runs."""
    clear = sum(map(is_clear, found.to_dict("records")))
    if not clear:
        return no_clear_effect(found)
    verb = "is" if clear == 1 else "are"
    first = f"{clear} of {len(found)} effects {verb} clear; the largest: {strongest_effect(found, 'the loss')}"
    inside = strongest_effect(focused, "it")
    return joined([first, f"with {where_text(focus)}: {inside}" if inside else ""])


def interactions(shares: Shares) -> str:
    """The setting that explains most alone, and the pair that explains most beyond its two settings."""
    name, share = max(shares.main.items(), key=lambda item: np.nan_to_num(item[1]))
    if np.isnan(share):
        return "What each setting explains alone cannot be separated"
    alone = f"{capital(title(name))} alone explains {share:.0%} of the variance"
    pair, both = max(shares.interactions.items(), key=lambda item: np.nan_to_num(item[1]))
    if not both >= _WORTH_NAMING:
        return f"{alone}; no two settings explain more together than {_WORTH_NAMING:.0%} beyond what each does alone"
    return f"{alone}; {title(pair[0])} and {title(pair[1])} together explain a further {both:.0%}"


def of_the_best(frame: pd.DataFrame, metric: str, settings: Sequence[str]) -> str:
    """What the best tenth of the runs have more often than all: "of the best 43 of 432 runs, 43 have S = 256"."""
    ranked = rank(comparable(frame, metric), metric)
    best = ranked.head(max(1, len(ranked) // 10))
    lifts: dict[str, tuple[float, Any]] = {}
    for name in settings:
        for level in levels(ranked[name]):
            here = at_level(ranked[name], level)
            lift = float(here.loc[best.index].mean() - here.mean())
            lifts[name] = max(lifts.get(name, (0.0, None)), (lift, level), key=lambda pair: pair[0])
    order = sorted((name for name in lifts if lifts[name][0] >= _LEAST_LIFT), key=lambda name: -lifts[name][0])
    told = [(name, lifts[name][1]) for name in order[:_MOST_LIFTED]]
    if len(best) == 1:
        return f"The best of {len(ranked)} runs has {', '.join(setting_at(*one) for one in told) or 'no rare setting'}"
    who = f"of the best {len(best)} of {len(ranked)} runs"
    if not told:
        return f"No setting stands out among the best {len(best)} of {len(ranked)} runs"
    counts = {one: int(at_level(best[one[0]], one[1]).sum()) for one in told}
    parts = [f"{counts[one]} have {setting_at(*one)}" for one in sorted(told, key=lambda one: -counts[one])]
    return capital(f"{who}, {', '.join(parts)}")


def saving(points: pd.DataFrame, unit: str, configurations: int) -> str:
    """What the best configuration costs, and how much less one costs that is nearly as good.

    points: from `pareto.configurations`: those of so many `configurations` whose cost is known. unit: "parameters",
    "seconds".
    """
    costs, losses = points["cost"].to_numpy(dtype=float), points["loss"].to_numpy(dtype=float)
    on_front = pareto_front(zip(costs.tolist(), losses.tolist(), strict=True))
    best = on_front[-1]
    who = "the best configuration"
    if len(points) < configurations:
        who = f"the best of the {len(points)} of {configurations} configurations with known {unit}"
    told = f"{who}, {losses[best]:.4f}, takes {rounded(costs[best])} {unit}"
    if len(on_front) == 1:
        return f"{capital(told)}, and none takes less"
    near = [place for place in on_front if losses[place] <= losses[best] + _NEARLY * abs(losses[best])]
    less = 1 - costs[near[0]] / costs[best]
    if less >= _LEAST_SAVING:
        return (
            f"{capital(told)}; {losses[near[0]]:.4f}, within {_NEARLY:.0%} of it, takes {less:.0%} less "
            f"({rounded(costs[near[0]])})"
        )
    return f"{capital(told)}; none that takes clearly less comes within {_NEARLY:.0%} of it"


def lowest_cell(frame: pd.DataFrame, choice: Choice, panels: Sequence[Grid]) -> str:
    """The best and the worst cell of a heat map, by their medians."""
    done = finished(frame)
    across, up = levels(done[choice.across]), levels(done[choice.up])
    cells = [
        (float(panel.medians[row, column]), panel, up[row], across[column])
        for panel in panels
        for row, column in np.argwhere(np.isfinite(panel.medians)).tolist()
    ]

    def told(cell: tuple[float, Grid, Any, Any]) -> str:
        median, panel, row, column = cell
        where = [phrase(choice.up, row), phrase(choice.across, column)]
        if choice.panels is not None:
            where.append(setting_at(choice.panels, panel.level))
        return f"{cell_text(median)} at {', '.join(where)}"

    best, worst = (extreme(cells, key=lambda cell: cell[0]) for extreme in (min, max))
    return f"Lowest median {told(best)}; highest {told(worst)}"
