"""Findings in words. Each function returns one sentence without a full stop, or an empty text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rnnlab.analysis.labels import is_switch, level_label
from rnnlab.analysis.levels import MOST_LEVELS
from rnnlab.analysis.ranges import RANGES, Range
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.below_threshold import LEAST_SPREAD, BelowThreshold
from rnnlab.analysis.statistics.dependence import Dependence
from rnnlab.analysis.statistics.effects import FEWEST_PAIRS, Effect, Effects, equal_pairs, is_clear
from rnnlab.analysis.statistics.one_factor import OneFactor
from rnnlab.analysis.statistics.summary import Summary
from rnnlab.analysis.statistics.variance import Clipping, Decomposition
from rnnlab.analysis.words.names import describe, phrase, setting_at, title

_MOST_LEVELS = 4  # in one sentence
_WINDOW_LENGTHS = ("block_size", "window_length")
_EVALUATED = ("training_", "validation_", "test_", "held_out_")  # prefixes of metrics of finished runs; not of curves
_MOST_WITHOUT_PAIRS = 5
_SHAPE = ("n_layers", "state_size")  # of a model


def progress(summary: Summary) -> str:
    """How much of the round this is about: "99 of 432 jobs are finished"."""
    if summary.finished < summary.jobs:
        text = f"{summary.finished} of {summary.jobs} jobs are finished"
    else:
        text = f"all {summary.jobs} jobs are finished"
    lost = summary.finished - summary.comparable
    verb = "is" if lost == 1 else "are"
    return text + (f"; {lost} of them diverged and {verb} ranked last" if lost else "")


def best(runs: Runs) -> str:
    """The best run and its settings: "Best: 1.5928 with forget + state gate, L = 2 (in all: new state, S = 256)"."""
    return f"Best: {named_run(runs.best, runs.metric, runs.all.factors)}{in_all(runs)}" if runs.best else ""


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


def sharpest_share(below: Sequence[BelowThreshold]) -> str:
    """The setting whose levels differ most in their share below: "S = 256: 180 of 288, S = 32: 0 of 144".

    Empty if no setting makes a difference of a tenth.
    """
    sharpest = max(below, key=lambda one: one.spread, default=None)
    if sharpest is None or sharpest.spread < LEAST_SPREAD:
        return ""
    name, counts = sharpest.setting, sharpest.counts
    ordered = sorted(counts, key=lambda level: -counts[level][0] / counts[level][1])
    parts = [f"{setting_at(name, level)}: {counts[level][0]} of {counts[level][1]}" for level in ordered]
    return ", ".join(parts if len(parts) <= _MOST_LEVELS else [parts[0], "...", parts[-1]])


def rule_of_pairs(by: str) -> str:
    """What the tables of paired effects mean; whole sentences."""
    return (
        f"A pair is two configurations that differ in one setting only; the difference of {by} is its value at the "
        "second level minus that at the first, so negative is better; runs that differ only in their seed are averaged "
        "first. The interval contains the median over configurations like these in 95 of 100 cases, whatever their "
        "distribution. Clear: a sign test of the better pairs against the worse ones gives p < 0.05, which requires "
        f"at least {FEWEST_PAIRS} pairs."
    )


def rule_of_ranges(effects: Effects) -> str:
    """Which settings of a table of paired effects have ranges as levels; a whole sentence, or nothing."""
    names = list(dict.fromkeys(row["factor"] for row in effects.rows if isinstance(row["level"], Range)))
    if not names:
        return ""
    return (
        f" A setting with more than {MOST_LEVELS} values is cut into {RANGES} ranges with equally many of them, and "
        f"those in one range count as equal: {', '.join(map(title, names))}."
    )


def effect(row: Effect, by: str) -> str:
    """One paired effect: "the forget gate lowers min_loss in 47 of 48 pairs, median -0.071"."""
    subject = _subject(row["factor"], row["level"], row["reference"])
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


def _subject(factor: str, level: Any, reference: Any) -> str:
    """What a paired effect is the effect of: "the forget gate", "S = 256 instead of 32"."""
    if is_switch(level):
        return f"the {title(factor)}"
    return f"{phrase(factor, level)} instead of {level_label(reference)}"


def no_clear_effect(effects: Effects) -> str:
    """Why no effect is clear: too few pairs, or pairs that disagree."""
    if effects.most_pairs < FEWEST_PAIRS:
        return "Too few configurations differ in one setting only to tell what a setting does"
    return "No setting makes a clear difference among configurations that differ in nothing else"


def no_pairs() -> str:
    """A statement that there is nothing to compare."""
    return "No two configurations differ in one setting only, so nothing can be said about a single setting"


def without_pairs(effects: Effects) -> str:
    """The levels that no pair compares with the reference: "block size 8 against 3"; the first few of many."""
    rows = effects.without_pairs.rows
    told = [f"{setting_at(row['factor'], row['level'])} against {level_label(row['reference'])}" for row in rows]
    return listed(told, _MOST_WITHOUT_PAIRS)


def confounded() -> str:
    """Why no setting has a share of the variance."""
    return "The settings of these runs vary together, so the share of each cannot be determined"


def strongest_effect(effects: Effects, by: str) -> str:
    """The clear paired effect with the largest median; empty if none is clear."""
    return effect(effects.strongest, by) if effects.strongest else ""


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


def dependence(found: Dependence | None) -> str:
    """The two settings that depend on each other most, and the effect of one at the ends of the other."""
    if found is None:
        return ""
    subject = _subject(found.changed, found.levels[1], found.levels[0])
    parts = zip(found.medians, found.ends, strict=True)
    told = [f"{value:+.3f} at {setting_at(found.at, end)}" for value, end in parts]
    return (
        f"{title(found.changed)} and {title(found.at)} depend on each other most ({found.share:.1%} beyond their own "
        f"effects): the median effect of {subject} is {' and '.join(told)} ({found.pairs} pairs each, all others equal)"
    )


def method_of_shares(shares: Decomposition) -> str:
    """How the shares of the variance were computed."""
    parts = [
        f"eta squared over {shares.runs} runs{_model_of_shares(shares)}",
        f"in {RANGES} ranges: {', '.join(map(title, shares.ranged))}" if shares.ranged else "",
        f"left out, for too many values: {', '.join(map(title, shares.left_out))}" if shares.left_out else "",
        "" if shares.clipping is None else _clipped(shares.clipping),
    ]
    return joined(parts)


def _model_of_shares(shares: Decomposition) -> str:
    if not shares.interactions:
        if len(shares.main) < 2:
            return ""
        return ": main effects only, fitted together; there are too few runs or too many levels for interactions"
    if shares.exact:
        return " of a balanced grid: exact, the shares add up to 1"
    return (
        " of an incomplete or unbalanced grid: type II sums of squares by least squares, whose shares need not add "
        "up to 1"
    )


def _clipped(found: Clipping) -> str:
    """Which runs count with a lower value, and why."""
    one = found.above == 1
    what = f"the run at {found.worst:.4g} counts" if one else f"{found.above} runs above {found.high:.4g} count"
    who = "it" if one else f"one of them, {found.worst:.4g},"
    return f"{what} as {found.high:.4g}, because {who} contributes {found.share:.0%} of the sum of squares"


def unlike_windows(runs: Runs) -> str:
    """A statement that runs were evaluated on windows of different lengths, if they were, and how to avoid it."""
    lengths = [name for name in _WINDOW_LENGTHS if name in runs.all.factors]
    if not lengths or not runs.metric.startswith(_EVALUATED):
        return ""
    return (
        f"{title(lengths[0])} varies, and each run was evaluated on windows of its own length, so values "
        f"of {runs.metric} are not comparable: `rnnlab eval JOB --context N` evaluates runs at the same context"
    )


def shared_settings(runs: Runs) -> str:
    """The settings that all jobs have in common: "cell gated, batch size 256"; empty if there are none."""
    return ", ".join(f"{title(name)} {level_label(value)}" for name, value in runs.all.shared.items())


def in_all(runs: Runs) -> str:
    """What is on in the models of all jobs, and their common shape: " (in all: forget gate, new state, S = 512)".

    Empty if there is nothing.
    """
    of_model = {name for payload in runs.frame["payload"].head(1) for name in json.loads(payload)["model"]}
    shared = {name: value for name, value in runs.all.shared.items() if name in of_model}
    told = [name for name, value in shared.items() if value is True or name in _SHAPE]
    return f" (in all: {describe(shared, told)})" if told else ""


def listed(parts: Sequence[str], most: int) -> str:
    """The first parts, and how many more there are."""
    left_out = len(parts) - most
    return ", ".join(parts[:most]) + (f" and {left_out} more" if left_out > 0 else "")


def joined(sentences: Sequence[str], separator: str = "; ") -> str:
    """The sentences that are not empty, in one line."""
    return separator.join(filter(None, sentences))


def capital(sentence: str) -> str:
    """The sentence, starting with a capital letter."""
    return sentence[:1].upper() + sentence[1:]
