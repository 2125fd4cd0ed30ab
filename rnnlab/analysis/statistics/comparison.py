"""Two experiments side by side: the configurations that ran in both, and whether both give the same answers.

Configurations are matched by the settings that vary within either experiment. What is constant in each may differ: a
corpus, a number of steps, a size of batch; that is what a comparison is about.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pandas as pd
from scipy.stats import spearmanr

from rnnlab.analysis.runs import comparable, finished, levels, setting_columns
from rnnlab.analysis.statistics.effects import COLUMNS, paired_effects
from rnnlab.analysis.statistics.one_factor import Floats
from rnnlab.analysis.words.names import level_label
from rnnlab.analysis.words.sentences import is_clear
from rnnlab.errors import UsageError

FEWEST_IN_COMMON = 3  # for a correlation of ranks

Effect = Mapping[Any, Any]


class Verdict(Enum):
    """What two experiments say of an effect. Clear: `sentences.is_clear`."""

    SAME = "same direction"
    OPPOSITE = "opposite"
    HERE_ONLY = "clear here only"
    THERE_ONLY = "clear there only"
    NEITHER = "clear in neither"


@dataclass(frozen=True)
class Comparison:
    """One experiment ("here") beside another ("there"); lower is better for the metric."""

    metric: str
    runs: pd.DataFrame  # those here whose configurations are compared
    configurations: pd.DataFrame  # one row each: the settings that vary, `here` and `there` (means over seeds)
    counts: tuple[int, int]  # finished configurations of each, matched or not
    diverged: int  # configurations in both that have no finite metric in one of them or in both; in no row
    differing: Mapping[str, tuple[Any, Any]]  # constant settings that differ: name -> (here, there)
    effects: Sequence[tuple[Effect, Effect]]  # rows of `paired_effects` over the same configurations: here, there

    @property
    def rank_correlation(self) -> float:
        """Spearman's; 1: the same order. NaN where all of one are equal."""
        here, there = self.losses
        if len(set(here)) < 2 or len(set(there)) < 2:
            return math.nan
        return float(spearmanr(here, there).statistic)

    @property
    def losses(self) -> tuple[Floats, Floats]:
        """The metric of each configuration, here and there."""
        return self.configurations["here"].to_numpy(dtype=float), self.configurations["there"].to_numpy(dtype=float)

    @property
    def best_tenths(self) -> tuple[int, int]:
        """How many configurations are among the best tenth of both, and how many a tenth is; at least one."""
        tenth = max(1, len(self.configurations) // 10)
        best = [set(self.configurations[side].nsmallest(tenth).index) for side in ("here", "there")]
        return len(best[0] & best[1]), tenth

    def place_of_best(self, side: str, other: str) -> int:
        """Rank (1: best) on the `other` side of the configuration that is best on `side`; sides: here, there."""
        best = self.configurations[side].argmin()
        return int(self.configurations[other].rank(method="min").iloc[best])

    @property
    def verdicts(self) -> list[Verdict]:
        """Of each effect, whether both experiments say the same of it."""
        return [_verdict(here, there) for here, there in self.effects]

    def frames_of_effects(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The effects here and there, as `paired_effects` has them; the same rows in both."""
        here, there = (pd.DataFrame([pair[place] for pair in self.effects], columns=COLUMNS) for place in (0, 1))
        return here, there

    def effects_table(self) -> pd.DataFrame:
        """One row an effect: both sides of it, columns ending in _here and _there, and the verdict."""
        at = COLUMNS[:3]
        here, there = self.frames_of_effects()
        both = [side.drop(columns=at).add_suffix(end) for side, end in ((here, "_here"), (there, "_there"))]
        table = pd.concat([here[at], *both], axis=1)
        return table.assign(verdict=[verdict.value for verdict in self.verdicts])


def compare(frame: pd.DataFrame, other: pd.DataFrame, metric: str) -> Comparison:
    """frame, other: all jobs of a round of each experiment (`results_frame`).

    Raises UsageError for a metric that one of them lacks, or where fewer than three configurations can be compared.
    """
    runs, others = finished(frame), finished(other)
    names = [name for name in setting_columns(frame) if _varies(runs, name) or _varies(others, name)]
    names += [name for name in setting_columns(other) if name not in setting_columns(frame) and _varies(others, name)]
    keys, other_keys = _keys(runs, names), _keys(others, names)
    both = set(keys) & set(other_keys)
    means, other_means = _means(runs, keys, metric), _means(others, other_keys, metric)
    matched = [key for key in dict.fromkeys(keys) if key in means and key in other_means]
    if len(matched) < FEWEST_IN_COMMON:
        raise UsageError(
            f"too few configurations can be compared ({len(matched)}, and it takes {FEWEST_IN_COMMON}): "
            f"{len(both)} have finished in both experiments, by {', '.join(names) or 'settings'}"
        )
    here, there = runs[keys.isin(matched)], others[other_keys.isin(matched)]
    configurations = here[~keys[here.index].duplicated()].reindex(columns=names).reset_index(drop=True)
    configurations["here"] = [means[key] for key in matched]
    configurations["there"] = [other_means[key] for key in matched]
    return Comparison(
        metric,
        here,
        configurations,
        counts=(keys.nunique(), other_keys.nunique()),
        diverged=len(both) - len(matched),
        differing=_differing(runs, others, names),
        effects=_effects(here, there, metric),
    )


def _varies(runs: pd.DataFrame, name: str) -> bool:
    return name in runs.columns and len(levels(runs[name])) > 1


def _keys(runs: pd.DataFrame, names: list[str]) -> "pd.Series[Any]":
    """The values of these settings as one tuple a run; None for a setting that it does not have."""
    columns = [
        [None if pd.isna(value) else value for value in runs[name].tolist()]
        if name in runs.columns
        else [None] * len(runs)
        for name in names
    ]
    rows = list(zip(*columns, strict=True)) if columns else [()] * len(runs)
    return pd.Series(rows, index=runs.index, dtype=object)


def _means(runs: pd.DataFrame, keys: "pd.Series[Any]", metric: str) -> dict[Hashable, float]:
    """The metric of each configuration, mean over its seeds; without those of which one diverged."""
    good = comparable(runs, metric)
    lost = set(keys[~keys.index.isin(good.index)])
    means = good[metric].groupby(keys[good.index]).mean()
    return {key: float(mean) for key, mean in means.items() if key not in lost}


def _differing(runs: pd.DataFrame, others: pd.DataFrame, names: list[str]) -> dict[str, tuple[Any, Any]]:
    constant = [name for name in dict.fromkeys([*setting_columns(runs), *setting_columns(others)]) if name not in names]
    values = {name: (_value(runs, name), _value(others, name)) for name in constant}
    return {name: (here, there) for name, (here, there) in values.items() if here != there}


def _value(runs: pd.DataFrame, name: str) -> Any:
    return levels(runs[name])[0] if name in runs.columns else None


def _effects(here: pd.DataFrame, there: pd.DataFrame, metric: str) -> list[tuple[Effect, Effect]]:
    """Those that have pairs in both."""
    others = {_name(row): row for row in paired_effects(there, metric).to_dict("records")}
    pairs = [(row, others.get(_name(row))) for row in paired_effects(here, metric).to_dict("records")]
    return [(row, other) for row, other in pairs if other is not None and row["pairs"] and other["pairs"]]


def _name(effect: Effect) -> tuple[str, str, str]:
    return str(effect["factor"]), level_label(effect["reference"]), level_label(effect["level"])


def _verdict(here: Effect, there: Effect) -> Verdict:
    clear = is_clear(here), is_clear(there)
    if all(clear):
        lowers = [row["better"] > row["worse"] for row in (here, there)]
        return Verdict.SAME if lowers[0] == lowers[1] else Verdict.OPPOSITE
    return Verdict.HERE_ONLY if clear[0] else Verdict.THERE_ONLY if clear[1] else Verdict.NEITHER
