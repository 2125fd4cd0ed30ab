"""Two experiments side by side: the configurations that ran in both, and whether the results agree.

Configurations are matched by the settings that vary within either experiment. Settings that are constant in each may
differ (the corpus, the number of steps, the batch size): their influence is what a comparison shows.
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import pandas as pd
from scipy.stats import spearmanr

from rnnlab.analysis.labels import level_label
from rnnlab.analysis.runs import Rows, Runs
from rnnlab.analysis.statistics.effects import COLUMNS, Effect, Effects, is_clear
from rnnlab.analysis.statistics.one_factor import Floats
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.errors import UsageError

FEWEST_IN_COMMON = 3  # for a correlation of ranks


class Verdict(Enum):
    """What two experiments say about an effect. Clear: `effects.is_clear`."""

    SAME = "same direction"
    OPPOSITE = "opposite"
    HERE_ONLY = "clear here only"
    THERE_ONLY = "clear there only"
    NEITHER = "clear in neither"


@dataclass(frozen=True, eq=False)
class Comparison:
    """One experiment ("here") compared with another ("there"); lower is better for the metric."""

    runs: Runs  # those here whose configurations are compared
    configurations: pd.DataFrame  # one row each: the settings that vary, `here` and `there` (means over seeds)
    counts: tuple[int, int]  # finished configurations of each, matched or not
    diverged: int  # configurations in both that have no finite metric in one of them or in both; in no row
    differing: Mapping[str, tuple[Any, Any]]  # constant settings that differ: name -> (here, there)
    effects: Sequence[tuple[Effect, Effect]]  # rows of `paired_effects` over the same configurations: here, there

    @property
    def metric(self) -> str:
        """The number of the result that is compared."""
        return self.runs.metric

    @property
    def rank_correlation(self) -> float:
        """Spearman's; 1: the same order. NaN if the losses of one experiment are all equal."""
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
        """How many configurations are among the best tenth of both, and the size of a tenth, at least one."""
        tenth = max(1, len(self.configurations) // 10)
        best = [set(self.configurations[side].nsmallest(tenth).index) for side in ("here", "there")]
        return len(best[0] & best[1]), tenth

    def place_of_best(self, side: str, other: str) -> int:
        """Rank (1: best) on the `other` side of the configuration that is best on `side`; sides: here, there."""
        best = self.configurations[side].argmin()
        return int(self.configurations[other].rank(method="min").iloc[best])

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """For each effect, whether both experiments agree on it."""
        return [_verdict(here, there) for here, there in self.effects]

    @cached_property
    def effects_by_side(self) -> tuple[Effects, Effects]:
        """The effects here and there; the same rows in both."""
        here, there = (pd.DataFrame([pair[place] for pair in self.effects], columns=COLUMNS) for place in (0, 1))
        return Effects(here), Effects(there)

    def effects_table(self) -> pd.DataFrame:
        """One row per effect: its numbers in columns that end in _here and _there, and the verdict."""
        at = COLUMNS[:3]
        here, there = (effects.table for effects in self.effects_by_side)
        both = [side.drop(columns=at).add_suffix(end) for side, end in ((here, "_here"), (there, "_there"))]
        table = pd.concat([here[at], *both], axis=1)
        return table.assign(verdict=[verdict.value for verdict in self.verdicts])


def compare(runs: Runs, others: Runs) -> Comparison:
    """All jobs of a round of each experiment, by the metric of the first.

    Raises UsageError if fewer than three configurations can be compared.
    """
    here, there = runs.finished, others.finished
    names = [name for name in here.settings if _varies(here, name) or _varies(there, name)]
    names += [name for name in there.settings if name not in here.settings and _varies(there, name)]
    keys, other_keys = _keys(here.frame, names), _keys(there.frame, names)
    both = set(keys) & set(other_keys)
    means, other_means = _means(runs, keys), _means(others, other_keys)
    matched = [key for key in dict.fromkeys(keys) if key in means and key in other_means]
    if len(matched) < FEWEST_IN_COMMON:
        raise UsageError(
            f"too few configurations can be compared ({len(matched)}; at least {FEWEST_IN_COMMON} are needed): "
            f"{len(both)} have finished in both experiments, matched by {', '.join(names) or 'settings'}"
        )
    matched_runs = Runs(here.frame[keys.isin(matched)], runs.question)
    matched_others = Runs(there.frame[other_keys.isin(matched)], others.question)
    first = matched_runs.frame[~keys[matched_runs.frame.index].duplicated()]
    configurations = first.reindex(columns=names).reset_index(drop=True)
    configurations["here"] = [means[key] for key in matched]
    configurations["there"] = [other_means[key] for key in matched]
    return Comparison(
        matched_runs,
        configurations,
        counts=(keys.nunique(), other_keys.nunique()),
        diverged=len(both) - len(matched),
        differing=_differing(here, there, names),
        effects=_effects(matched_runs, matched_others),
    )


def _varies(rows: Rows, name: str) -> bool:
    return name in rows.frame.columns and len(rows.levels(name)) > 1


def _keys(frame: pd.DataFrame, names: list[str]) -> "pd.Series[Any]":
    """The values of these settings as one tuple per run; None for a setting that it does not have."""
    columns = [
        [None if pd.isna(value) else value for value in frame[name].tolist()]
        if name in frame.columns
        else [None] * len(frame)
        for name in names
    ]
    rows = list(zip(*columns, strict=True)) if columns else [()] * len(frame)
    return pd.Series(rows, index=frame.index, dtype=object)


def _means(runs: Runs, keys: "pd.Series[Any]") -> dict[Hashable, float]:
    """The metric of each configuration, mean over its seeds; without configurations that have a diverged seed."""
    lost = set(keys[runs.incomparable.frame.index])
    means = runs.losses.groupby(keys[runs.comparable.frame.index]).mean()
    return {key: float(mean) for key, mean in means.items() if key not in lost}


def _differing(here: Rows, there: Rows, names: list[str]) -> dict[str, tuple[Any, Any]]:
    constant = [name for name in dict.fromkeys([*here.settings, *there.settings]) if name not in names]
    values = {name: (_value(here, name), _value(there, name)) for name in constant}
    return {name: (one, other) for name, (one, other) in values.items() if one != other}


def _value(rows: Rows, name: str) -> Any:
    return rows.levels(name)[0] if name in rows.frame.columns else None


def _effects(here: Runs, there: Runs) -> list[tuple[Effect, Effect]]:
    """The effects that have pairs in both."""
    others = {_name(row): row for row in RoundStatistics(there).effects.rows}
    pairs = [(row, others.get(_name(row))) for row in RoundStatistics(here).effects.rows]
    return [(row, other) for row, other in pairs if other is not None and row["pairs"] and other["pairs"]]


def _name(effect: Effect) -> tuple[str, str, str]:
    return str(effect["factor"]), level_label(effect["reference"]), level_label(effect["level"])


def _verdict(here: Effect, there: Effect) -> Verdict:
    clear = is_clear(here), is_clear(there)
    if all(clear):
        lowers = [row["mean"] < 0 for row in (here, there)]
        return Verdict.SAME if lowers[0] == lowers[1] else Verdict.OPPOSITE
    return Verdict.HERE_ONLY if clear[0] else Verdict.THERE_ONLY if clear[1] else Verdict.NEITHER
