"""Findings in words, computed from the data. Each function returns one sentence without a full stop, or ""."""

import json
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from rnnlab.analysis.runs import at_level, comparable, factors, levels, setting_columns
from rnnlab.analysis.statistics.one_factor import OneFactor, one_factor_tables
from rnnlab.analysis.statistics.ranges import MOST_LEVELS, RANGES, Range, in_ranges
from rnnlab.analysis.statistics.ranking import Summary, best_run
from rnnlab.analysis.statistics.variance import Decomposition
from rnnlab.analysis.words.names import describe, level_label, phrase, setting_at, title

LEAST_SPREAD = 0.1  # between the shares of two levels, to be worth a sentence
FEWEST_PAIRS = 6  # with fewer, not even unanimous pairs are clear
_SIGNIFICANCE = 0.05
_LEAST_INTERACTION = 0.01  # of the variance
_MOST_LEVELS = 4
_WINDOW_LENGTHS = ("block_size", "window_length")
_EVALUATED = ("training_", "validation_", "test_", "held_out_")  # metrics of finished runs begin so; not of curves
_MOST_WITHOUT_PAIRS = 5
_SHAPE = ("n_layers", "state_size")  # of a model


def progress(summary: Summary) -> str:
    """How much of the round this is about: "99 of 432 jobs are finished"."""
    if summary.finished < summary.jobs:
        text = f"{summary.finished} of {summary.jobs} jobs are finished"
    else:
        text = f"all {summary.jobs} jobs are finished"
    lost = summary.finished - summary.comparable
    verb = "stands" if lost == 1 else "stand"
    return text + (f"; {lost} of them diverged and {verb} last" if lost else "")


def best(frame: pd.DataFrame, by: str) -> str:
    """The best run and its settings: "Best: 1.5928 with forget + state gate, L = 2 (in all: new state, S = 256)"."""
    row = best_run(frame, by)
    return f"Best: {named_run(row, by, factors(frame))}{in_all(frame)}" if row else ""


def named_run(row: Mapping[Any, Any], by: str, settings: Sequence[str]) -> str:
    """A run by its metric and its settings: "1.5928 with forget + state gate, new state, L = 2, S = 256"."""
    settings_text = describe(row, settings)
    return f"{row[by]:.4f}" + (f" with {settings_text}" if settings_text else "")


def below(summary: Summary, threshold: float | None, meaning: str = "") -> str:
    """How many runs are below the threshold: "180 of 432 runs are below 1.9 (the memory is in use)"."""
    if summary.below is None or threshold is None or not summary.comparable:
        return ""
    verb = "is" if summary.below == 1 else "are"
    return f"{summary.below} of {summary.comparable} runs {verb} below {threshold:g}" + (
        f" ({meaning})" if meaning else ""
    )


def shares_below(frame: pd.DataFrame, by: str, threshold: float) -> dict[str, dict[Any, tuple[int, int]]]:
    """For each setting that varies and each of its levels: (runs below the threshold, all runs that compare)."""
    runs = comparable(in_ranges(frame), by)
    low = runs[by] < threshold
    return {
        name: {
            level: (int((low & at_level(runs[name], level)).sum()), int(at_level(runs[name], level).sum()))
            for level in levels(runs[name])
        }
        for name in factors(runs)
    }


def sharpest_share(frame: pd.DataFrame, by: str, threshold: float) -> str:
    """The setting whose levels differ most in their share below: "S = 256: 180 of 288, S = 32: 0 of 144".

    Empty where no setting makes a difference of a tenth.
    """
    spreads = {}
    for name, counts in shares_below(frame, by, threshold).items():
        shares = [low / total for low, total in counts.values()]
        spreads[name] = max(shares) - min(shares)
    sharpest = max(spreads, key=lambda name: spreads[name], default=None)
    if sharpest is None or spreads[sharpest] < LEAST_SPREAD:
        return ""
    counts = shares_below(frame, by, threshold)[sharpest]
    ordered = sorted(counts, key=lambda level: -counts[level][0] / counts[level][1])
    parts = [f"{setting_at(sharpest, level)}: {counts[level][0]} of {counts[level][1]}" for level in ordered]
    return ", ".join(parts if len(parts) <= _MOST_LEVELS else [parts[0], "...", parts[-1]])


def is_clear(effect: Mapping[Any, Any]) -> bool:
    """Whether an exact two-sided sign test gives p < 0.05: better against worse pairs, ties left out.

    Without ties that is so exactly where the interval of the median, which is made of the same counts, excludes zero.
    """
    fewer, decided = min(effect["better"], effect["worse"]), effect["better"] + effect["worse"]
    return bool(2 * binom.cdf(fewer, decided, 0.5) < _SIGNIFICANCE)


def rule_of_pairs(by: str) -> str:
    """What the tables of paired effects mean; whole sentences."""
    return (
        f"A pair is two configurations that differ in one setting only; the difference of {by} is that at the second "
        "level minus that at the first, so below zero is better; runs that differ only in their seed are averaged "
        "first. The interval holds the median over configurations like these in 95 of 100 cases, whatever their "
        "distribution. Clear: a sign test of the better pairs against the worse ones gives p < 0.05, which takes at "
        f"least {FEWEST_PAIRS} pairs."
    )


def rule_of_ranges(effects: pd.DataFrame) -> str:
    """Which settings of a table of paired effects have ranges as levels; a whole sentence, or nothing."""
    names = effects.loc[[isinstance(level, Range) for level in effects["level"]], "factor"].unique()
    if not len(names):
        return ""
    return (
        f" A setting with more than {MOST_LEVELS} values is cut into {RANGES} ranges with equally many of them, and "
        f"those in one range count as equal: {', '.join(map(title, names))}."
    )


def effect(row: Mapping[Any, Any], by: str) -> str:
    """One paired effect: "the forget gate lowers min_loss in 47 of 48 pairs, median -0.071"."""
    subject = _subject(row)
    if not row["pairs"]:
        return f"{subject}: no two runs differ in this alone"
    verb, count = ("lowers", row["better"]) if row["better"] > row["worse"] else ("raises", row["worse"])
    pairs, equal = row["pairs"], equal_pairs(row)
    if 2 * equal > pairs:
        return f"{subject} changes nothing in {equal} of {pairs} pairs"
    found = f"{by} in {count} of {pairs} pairs, median {row['median']:+.3f}"
    if is_clear(row):
        return f"{subject} {verb} {found}"
    if pairs < FEWEST_PAIRS:
        return f"{subject} {verb} {found}; fewer than {FEWEST_PAIRS} pairs are too few to call that clear"
    return f"{subject} makes no clear difference; it {verb} {found}"


def equal_pairs(row: Mapping[Any, Any]) -> int:
    """Pairs whose two metrics are equal to the last bit, as where a setting has no influence: a bound never reached."""
    return int(row["pairs"] - row["better"] - row["worse"])


def _subject(row: Mapping[Any, Any]) -> str:
    """What a paired effect is the effect of: "the forget gate", "S = 256 instead of 32"."""
    if pd.api.types.is_bool(row["level"]):
        return f"the {title(row['factor'])}"
    return f"{phrase(row['factor'], row['level'])} instead of {level_label(row['reference'])}"


def no_clear_effect(effects: pd.DataFrame) -> str:
    """Why no effect is clear: too few pairs, or pairs that disagree."""
    if effects["pairs"].max() < FEWEST_PAIRS:
        return "Too few configurations differ in one setting only to tell what a setting does"
    return "No setting makes a clear difference among configurations that differ in nothing else"


def no_pairs() -> str:
    """That there is nothing to compare."""
    return "No two configurations differ in one setting only, so nothing can be said of a single setting"


def without_pairs(effects: pd.DataFrame) -> str:
    """The levels that no pair compares with the reference: "block size 8 against 3"; of many the first."""
    rows = effects[effects["pairs"] == 0].to_dict("records")
    told = [f"{setting_at(row['factor'], row['level'])} against {level_label(row['reference'])}" for row in rows]
    return listed(told, _MOST_WITHOUT_PAIRS)


def confounded() -> str:
    """Why no setting has a share of the variance."""
    return "The settings of these runs vary together: what they explain cannot be divided among them"


def strongest_effect(effects: pd.DataFrame, by: str) -> str:
    """The clear paired effect with the largest median; empty where none is clear."""
    clear = [row for row in effects.to_dict("records") if is_clear(row)]
    return effect(max(clear, key=lambda row: abs(row["median"])), by) if clear else ""


def series(table: OneFactor, by: str) -> str:
    """Which of three or more levels is best where only one factor varies: "lr 1e-3 is the best of 4 in 108 of 128"."""
    rows, counts = len(table.complete), table.best_counts
    if len(table.levels) < 3 or rows < FEWEST_PAIRS:
        return ""
    best = max(counts, key=lambda level: counts[level])
    text = f"{setting_at(table.factor, best)} is the best of {len(table.levels)} in {counts[best]} of {rows} rows"
    if not all(isinstance(level, int | float) for level in table.levels):
        return text
    if 2 * max(table.falling, table.rising) <= rows:
        return text
    direction, steady = ("falls", table.falling) if table.falling > table.rising else ("rises", table.rising)
    return f"{text}; {by} {direction} with every step up in {steady}"


def strongest_interaction(frame: pd.DataFrame, shares: Decomposition, by: str) -> str:
    """The pair of settings that explains most beyond its main effects, and what the one does at the ends of the other.

    Over the same settings of all other factors at both ends: else the two medians would not differ in this alone. Empty
    where these are fewer than six, or no pair explains a hundredth of the variance.
    """
    if not shares.interactions:
        return ""
    (changed, at), share = next(iter(shares.interactions.items()))
    if not share >= _LEAST_INTERACTION:  # nor if it is not known
        return ""
    if shares.main[changed] > shares.main[at]:
        changed, at = at, changed
    one = one_factor_tables(frame, by)[changed]
    ends = levels(one.others[at])
    found = [_differences(one, at, level) for level in (ends[0], ends[-1])]
    both = found[0].keys() & found[1].keys()
    if len(both) < FEWEST_PAIRS:
        return ""
    subject = _subject({"factor": changed, "level": one.levels[-1], "reference": one.levels[0]})
    medians = [median(side[context] for context in both) for side in found]
    told = [f"{value:+.3f} at {setting_at(at, end)}" for value, end in zip(medians, (ends[0], ends[-1]), strict=True)]
    return (
        f"{title(changed)} and {title(at)} depend on each other most ({share:.1%} beyond their own effects): the "
        f"median effect of {subject} is {' and '.join(told)} ({len(both)} pairs each, all others equal)"
    )


def _differences(one: OneFactor, at: str, level: Any) -> dict[tuple[Any, ...], float]:
    """The metric at the last level of a factor minus that at its first, where another setting has this level.

    By the values of the remaining factors; without those pairs of which one is missing or diverged.
    """
    others = one.others.reset_index(drop=True)
    finite = np.isfinite(one.losses[:, [0, -1]]).all(axis=1)
    here = finite & at_level(others[at], level).to_numpy(dtype=bool)
    rest = others.loc[here].drop(columns=at).astype(object)
    differences = one.losses[here, -1] - one.losses[here, 0]
    contexts = rest.where(rest.notna(), None).itertuples(index=False, name=None)
    return dict(zip(contexts, differences.tolist(), strict=True))


def unlike_windows(frame: pd.DataFrame, by: str) -> str:
    """That runs were evaluated on windows of different lengths, where they were, and how to do otherwise."""
    lengths = [name for name in _WINDOW_LENGTHS if name in factors(frame)]
    if not lengths or not by.startswith(_EVALUATED):
        return ""
    return (
        f"{title(lengths[0])} varies, and each run was evaluated on windows of its own length, so {by} is not one "
        "quantity: `rnnlab eval JOB --context N` measures runs at one context"
    )


def shared_settings(frame: pd.DataFrame) -> str:
    """The settings that all jobs have in common: "cell gated, batch size 256"; empty where there are none."""
    found = {name: levels(frame[name]) for name in setting_columns(frame)}
    return ", ".join(f"{title(name)} {level_label(values[0])}" for name, values in found.items() if len(values) == 1)


def in_all(frame: pd.DataFrame) -> str:
    """What is on in the models of all jobs, and their common shape: " (in all: forget gate, new state, S = 512)".

    Empty for nothing.
    """
    of_model = {name for payload in frame["payload"].head(1) for name in json.loads(payload)["model"]}
    found = {name: levels(frame[name]) for name in setting_columns(frame) if name in of_model}
    shared = {name: values[0] for name, values in found.items() if len(values) == 1}
    told = [name for name, value in shared.items() if value is True or name in _SHAPE]
    return f" (in all: {describe(shared, told)})" if told else ""


def listed(parts: Sequence[str], most: int) -> str:
    """The first parts, and how many more there are."""
    left_out = len(parts) - most
    return ", ".join(parts[:most]) + (f" and {left_out} more" if left_out > 0 else "")


def joined(sentences: Sequence[str], separator: str = "; ") -> str:
    """The sentences that say something, in one line."""
    return separator.join(filter(None, sentences))


def capital(sentence: str) -> str:
    """The sentence with a capital at its start."""
    return sentence[:1].upper() + sentence[1:]
