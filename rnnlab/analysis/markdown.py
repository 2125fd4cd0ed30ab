"""Tables of the report in Markdown, with numbers a person reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rnnlab.analysis.names import level_label, phrase, title
from rnnlab.analysis.results import factors
from rnnlab.analysis.sentences import is_clear


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A Markdown table; the first `left` columns are flush left, the others right."""
    rule = [":--" if place < left else "--:" for place in range(len(header))]
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (header, rule, *rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def top_table(ranked: pd.DataFrame, by: str, n: int = 10) -> str:
    """The best n runs of a ranked frame: rank, metric, seed and the settings that vary."""
    names = factors(ranked)
    best = ranked[ranked["rank"].notna()].head(n)
    rows = [
        [str(row["rank"]), f"{row[by]:.4f}", *(level_label(row[name]) for name in names), str(row["seed"])]
        for row in best.to_dict("records")
    ]
    return table(["rank", by, *map(title, names), "seed"], rows, left=0)


def effects_table(effects: pd.DataFrame) -> str:
    """Paired effects, one row each; effects that are not clear are marked."""
    return table(
        ["setting", "from", "to", "pairs", "better", "median difference", "quartiles", "clear"],
        [_effect_row(row) for row in effects.to_dict("records")],
        left=3,
    )


def _effect_row(row: dict[Any, Any]) -> list[str]:
    names = [title(row["factor"]), level_label(row["reference"]), level_label(row["level"])]
    if not row["pairs"]:
        return [*names, "0", "–", "–", "–", "–"]
    quartiles = f"{row['q25']:+.3f} to {row['q75']:+.3f}"
    return [*names, str(row["pairs"]), str(row["better"]), f"{row['median']:+.3f}", quartiles, _yes(is_clear(row))]


def replicates_table(replicated: pd.DataFrame, names: Sequence[str], n: int = 10) -> str:
    """The best n configurations by their mean over seeds, with the settings in `names`."""
    rows = [
        [
            *(f"{row['mean']:.4f}", "–" if pd.isna(row["sd"]) else f"{row['sd']:.3f}", str(row["n"])),
            "–" if pd.isna(row["separable"]) else _yes(row["separable"]),
            *(level_label(row[name]) for name in names),
        ]
        for row in replicated.head(n).to_dict("records")
    ]
    return table(["mean", "SD", "seeds", "differs from the best", *map(title, names)], rows, left=0)


def where_text(where: Mapping[str, Any]) -> str:
    """A restriction in words: "S = 256, new state, residual"."""
    return ", ".join(phrase(name, value) for name, value in where.items())


def _yes(value: bool) -> str:
    return "yes" if value else "no"
