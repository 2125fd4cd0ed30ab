"""Tables of the report in Markdown, with numbers rounded for reading."""

from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd

from rnnlab.analysis.labels import level_label
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.branches import Branch
from rnnlab.analysis.statistics.effects import Effect, Effects, equal_pairs
from rnnlab.analysis.statistics.one_factor import OneFactor
from rnnlab.analysis.statistics.replicates import Replicates
from rnnlab.analysis.statistics.variance import LEAST_SHOWN, Decomposition
from rnnlab.analysis.words.names import phrase, setting_at, title

_MOST_INTERACTIONS = 10


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are flush left, the others right."""
    rule = [":--" if place < left else "--:" for place in range(len(header))]
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (header, rule, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def top_table(runs: Runs, n: int = 10) -> str:
    """The best n runs: rank, metric, seed and the settings that vary."""
    by, names = runs.metric, runs.all.factors
    rows = [
        [str(row["rank"]), f"{row[by]:.4f}", *(level_label(row[name]) for name in names), str(row["seed"])]
        for row in runs.best_first.frame.head(n).to_dict("records")
    ]
    return table(["rank", by, *map(title, names), "seed"], rows, left=0)


def effects_table(effects: Effects) -> str:
    """Paired effects, one row each."""
    return table(
        [
            *("setting", "from", "to", "pairs", "better", "mean difference", "95 % interval", "quartiles"),
            *("clearly better", "clearly worse"),
        ],
        [_effect_row(row) for row in effects.rows],
        left=3,
    )


def _effect_row(row: Effect) -> list[str]:
    names = [title(row["factor"]), level_label(row["reference"]), level_label(row["level"])]
    if not row["pairs"]:
        return [*names, "0", "–", "–", "–", "–", "–", "–"]
    spans = [span(row["low"], row["high"]), span(row["q25"], row["q75"])]
    equal = f" ({equal_pairs(row)} equal)" if equal_pairs(row) else ""
    better = f"{row['better']}{equal}"
    counts = ["–", "–"] if isnan(row["low"]) else [str(row["clearly_better"]), str(row["clearly_worse"])]
    return [*names, str(row["pairs"]), better, f"{row['mean']:+.3f}", *spans, *counts]


def branches_table(effects: Effects) -> str:
    """The effects that depend on another setting: a row for each branch of the first split and of those below it."""
    rows = []
    for row, tree in zip(effects.rows, effects.trees, strict=True):
        if tree is None or not tree.parts:
            continue
        rows.append(_branch_row(f"{title(row['factor'])}: {level_label(row['level'])}", tree))
        rows += [_branch_row("", branch) for branch in below(tree)]
    return table(["effect of", "where", "pairs", "better", "mean difference", "95 % interval"], rows, left=2)


def below(tree: Branch) -> list[Branch]:
    """All branches below the root of a tree, each before its parts."""
    return [branch for part in tree.parts for branch in (part, *below(part))]


def _branch_row(name: str, branch: Branch) -> list[str]:
    where = ", ".join(setting_at(setting, value) for setting, value in branch.where.items()) or "everywhere"
    numbers = [str(branch.n_contexts), str(branch.n_lower), f"{branch.mean:+.3f}", span(branch.low, branch.high)]
    return [name, where, *numbers]


def span(low: float, high: float) -> str:
    """An interval of differences, with signs; a dash if there is none."""
    return "–" if pd.isna(low) else f"{low:+.3f} to {high:+.3f}"


def levels_table(tables: Sequence[OneFactor], by: str) -> str:
    """The levels of each factor: the median of the metric over its complete rows, and in how many it is best."""
    rows = []
    for one in tables:
        medians = np.median(one.complete, axis=0)
        counts = one.best_counts
        for place, level in enumerate(one.levels):
            name = title(one.factor) if place == 0 else ""
            rows.append([name, level_label(level), f"{medians[place]:.4f}", f"{counts[level]} of {len(one.complete)}"])
    return table(["setting", "level", f"median {by}", "best in"], rows, left=2)


def shares_table(shares: Decomposition) -> str:
    """Main effects, the largest interactions, what settings that vary together share, and the unexplained rest."""
    rows = [[title(name), _share(share)] for name, share in shares.main.items()]
    pairs = [(f"{title(a)} × {title(b)}", share) for (a, b), share in shares.interactions.items()]
    known = [(name, share) for name, share in pairs if not isnan(share)]
    rows += [[name, _share(share)] for name, share in known[:_MOST_INTERACTIONS]]
    if more := known[_MOST_INTERACTIONS:]:
        rows.append([f"{len(more)} more pairs, together", _share(sum(share for _, share in more))])
    if lost := len(pairs) - len(known):
        rows.append([f"{lost} more pair{'' if lost == 1 else 's'}", _share(nan)])
    if shares.common >= LEAST_SHOWN:
        rows.append(["in common, of settings that vary together", _share(shares.common)])
    return table(["setting or pair", "share"], [*rows, ["not explained by these", _share(shares.residual)]])


def _share(share: float) -> str:
    return "– (cannot be separated)" if isnan(share) else f"{share:.1%}"


def replicates_table(replicated: Replicates, n: int = 10) -> str:
    """The best n configurations by their mean over seeds, with the settings that vary."""
    names = replicated.runs.all.factors
    rows = [
        [
            "–" if pd.isna(row["mean"]) else f"{row['mean']:.4f}",
            "–" if pd.isna(row["sd"]) else f"{row['sd']:.3f}",
            *(str(row["n"]), str(row["diverged"])),
            "–" if pd.isna(row["low"]) else f"{row['low']:.4f} to {row['high']:.4f}",
            "–" if pd.isna(row["sd_moderated"]) else f"{row['sd_moderated']:.3f}",
            "–" if pd.isna(row["in_set"]) else _yes(row["in_set"]),
            "–" if pd.isna(row["best_chance"]) else f"{row['best_chance']:.1%}",
            *(level_label(row[name]) for name in names),
        ]
        for row in replicated.table.head(n).to_dict("records")
    ]
    header = ["mean", "SD", "seeds", "diverged", "95 % of the mean", "moderated SD", "may be the best"]
    return table([*header, "chance to be the best", *map(title, names)], rows, left=0)


def picture(title: str, caption: str, path: str) -> str:
    """A picture with its caption below."""
    return f"![{title}]({path})\n\n*{title}.* {caption}"


def where_text(where: Mapping[str, Any]) -> str:
    """A restriction in words: "S = 256, new state, residual"."""
    return ", ".join(phrase(name, value) for name, value in where.items())


def _yes(value: bool) -> str:
    return "yes" if value else "no"
