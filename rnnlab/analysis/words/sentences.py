"""Findings in words. Each function returns one sentence without a full stop, or an empty text."""

import json
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from rnnlab.analysis.labels import is_switch, level_label
from rnnlab.analysis.levels import MOST_LEVELS
from rnnlab.analysis.ranges import RANGES, Range
from rnnlab.analysis.runs import Runs
from rnnlab.analysis.statistics.below_threshold import LEAST_SPREAD, BelowThreshold
from rnnlab.analysis.statistics.branches import Branch
from rnnlab.analysis.statistics.dependence import Dependence
from rnnlab.analysis.statistics.effects import Effect, Effects, equal_pairs, is_clear
from rnnlab.analysis.statistics.one_factor import OneFactor
from rnnlab.analysis.statistics.summary import Summary
from rnnlab.analysis.statistics.variance import Clipping, Decomposition
from rnnlab.analysis.words.names import describe, phrase, setting_at, title

_MOST_LEVELS = 4  # in one sentence
_FEWEST_ROWS = 6  # of a table in which one factor varies, to say which level is best
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
    return joined([text, _ranked_last(summary)])


def _ranked_last(summary: Summary) -> str:
    """How many finished runs are not compared, and why: "2 of them diverged and are ranked last"."""
    guessing = summary.worse_than_guessing
    diverged = summary.finished - summary.comparable - guessing
    if not guessing:
        return f"{diverged} of them diverged and {_are(diverged)} ranked last" if diverged else ""
    than = "" if summary.guess is None else f", above {summary.guess:.3f} for a uniform guess"
    text = f"{guessing} of them {_are(guessing)} worse than guessing{than}"
    lost = guessing + diverged
    return f"{text}, {f'{diverged} diverged, ' if diverged else ''}and {_are(lost)} ranked last"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def lost(runs: Runs) -> str:
    """What happened to the finished runs that are not compared: "diverged", "diverged or is worse than guessing"."""
    guessing = len(runs.worse_than_guessing)
    words = ["diverged"] if len(runs.incomparable) > guessing else []
    return " or ".join([*words, *(["is worse than guessing"] if guessing else [])])


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


RULE_OF_BRANCHES = (
    "Some of these effects depend on another setting. Their pairs are split by the setting, or the pair of settings, "
    "that explains most of what exceeds the noise, and split again if that explains a good part of the rest."
)


def rule_of_pairs(by: str) -> str:
    """What the tables of paired effects mean; whole sentences."""
    return (
        f"A pair is two configurations that differ in one setting only; the difference of {by} is its value at the "
        "second level minus that at the first, so negative is better; runs that differ only in their seed are averaged "
        "first. The mean is over all pairs of this grid, of which those with an unstable configuration count less; its "
        "95 % interval covers run-to-run noise. The quartiles are those of the differences. Clearly better, clearly "
        "worse: pairs whose own difference exceeds the noise (false discovery rate 5 %)."
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


def effect(row: Effect, by: str, tree: Branch | None = None) -> str:
    """One paired effect: "the forget gate lowers min_loss by 0.071 (95 %: 0.066 to 0.076; in 47 of 48 pairs)".

    With the tree of what it depends on, the effect in each of its first branches: "the residual lowers min_loss by
    0.855 at L = 3 (in 4 of 4 pairs), and raises it by 0.030 at L = 1 (in 4 of 4 pairs)".
    """
    subject = _subject(row["factor"], row["level"], row["reference"])
    if not row["pairs"]:
        return f"{subject}: no two runs differ in this alone"
    pairs, equal = row["pairs"], equal_pairs(row)
    if 2 * equal > pairs:
        return f"{subject} changes nothing in {equal} of {pairs} pairs"
    if tree is not None and tree.parts and not _is_alike(tree):
        return f"{subject} {_in_branches(tree, by)}"
    lower = row["mean"] < 0
    verb, count = ("lowers", row["better"]) if lower else ("raises", row["worse"])
    if isnan(row["low"]):
        return (
            f"{subject} {verb} {by} by {abs(row['mean']):.3f} on average (in {count} of {pairs} pairs); the noise is "
            "unknown"
        )
    if is_clear(row):
        low, high = sorted((abs(row["low"]), abs(row["high"])))
        return (
            f"{subject} {verb} {by} by {abs(row['mean']):.3f} (95 %: {low:.3f} to {high:.3f}; in {count} of {pairs} "
            f"pairs{_extremes(tree)})"
        )
    text = f"{subject} makes no clear difference on average ({row['mean']:+.3f})"
    if row["clearly_better"] or row["clearly_worse"]:
        text += f", but a clear one in some pairs ({row['clearly_better']} lower, {row['clearly_worse']} higher)"
    return text


def _is_alike(tree: Branch) -> bool:
    """Whether the effect is clear in all branches, with one sign: then only its size depends on the other setting."""
    return all(is_clear(part) and (part.mean < 0) == (tree.mean < 0) for part in tree.parts)


def _extremes(tree: Branch | None) -> str:
    """Where an effect is largest and smallest, if its size depends on another setting."""
    if tree is None or not tree.parts:
        return ""
    ordered = sorted(tree.parts, key=lambda part: -abs(part.mean))
    told = [f"{abs(part.mean):.3f} at {_at(tree, part)}" for part in (ordered[0], ordered[-1])]
    return f"; from {told[1]} to {told[0]}"


def _in_branches(tree: Branch, by: str) -> str:
    """The effect in each of the first branches: what lowers the metric first."""
    lower = sorted((part for part in tree.parts if is_clear(part) and part.mean < 0), key=lambda part: part.mean)
    higher = sorted((part for part in tree.parts if is_clear(part) and part.mean > 0), key=lambda part: -part.mean)
    unclear = [part for part in tree.parts if not is_clear(part)]
    said: list[str] = []
    for verb, found in (("lowers", lower), ("raises", higher)):
        if found:
            told = [f"by {abs(part.mean):.3f} at {_at(tree, part)} ({_pairs(part)})" for part in found]
            said.append(f"{verb} {'it' if said else by} {_and(told)}")
    if unclear:
        told = [f"{_at(tree, part)} ({part.mean:+.3f})" for part in unclear]
        said.append(f"makes no clear difference at {_and(told)}")
    return ", and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]


def _at(tree: Branch, part: Branch) -> str:
    """The values of the settings by which a tree splits: "L = 3", "residual on"."""
    return ", ".join(setting_at(name, part.where[name]) for name in tree.split_by)


def _pairs(part: Branch) -> str:
    count = part.n_lower if part.mean < 0 else part.n_contexts - part.n_lower
    return f"in {count} of {part.n_contexts} pair{'' if part.n_contexts == 1 else 's'}"


def _and(parts: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _subject(factor: str, level: Any, reference: Any) -> str:
    """What a paired effect is the effect of: "the forget gate", "S = 256 instead of 32"."""
    if is_switch(level):
        return f"the {title(factor)}"
    return f"{phrase(factor, level)} instead of {level_label(reference)}"


def no_clear_effect(effects: Effects) -> str:
    """Why no effect is clear: nothing to compare, unknown noise, or differences within the noise."""
    if not effects.most_pairs:
        return "No two configurations differ in one setting only, so nothing can be said about a single setting"
    if not effects.is_noise_known:
        return "The noise is unknown, so no effect can be called clear: repeat some configurations over several seeds"
    return "No setting makes a clear difference on this grid, neither on average nor for a part of it"


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
    """The clear paired effect that helps most, in its branches; empty if none is clear."""
    return "" if effects.strongest is None else effect(effects.strongest[0], by, effects.strongest[1])


def asked_effects(effects: Effects, about: Sequence[str], by: str) -> list[str]:
    """The effects of the settings that the experiment file asks about, in their branches."""
    asked = effects.of(about)
    return [effect(row, by, tree) for row, tree in zip(asked.rows, asked.trees, strict=True)]


def series(table: OneFactor, by: str) -> str:
    """Which of three or more levels is best where only one factor varies: "lr 1e-3 is the best of 4 in 108 of 128"."""
    rows, counts = len(table.complete), table.best_counts
    if len(table.levels) < 3 or rows < _FEWEST_ROWS:
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
