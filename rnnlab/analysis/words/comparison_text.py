"""A comparison of two experiments in words: one sentence, and a whole page in Markdown."""

from collections.abc import Sequence
from math import isnan

from rnnlab.analysis.labels import level_label
from rnnlab.analysis.statistics.comparison import Comparison, Verdict
from rnnlab.analysis.statistics.effects import Effect
from rnnlab.analysis.words.markdown import span, table
from rnnlab.analysis.words.names import describe, metric_label, setting_at, title
from rnnlab.analysis.words.sentences import capital, joined, rule_of_pairs

Names = tuple[str, str]  # of the experiments: here, there


def finding(comparison: Comparison) -> str:
    """The comparison in one sentence, without a full stop."""
    n = len(comparison.configurations)
    correlation = comparison.rank_correlation
    same, tenth = comparison.best_tenths
    alike = (
        f"{n} configurations, whose losses are all equal in one of the two"
        if isnan(correlation)
        else f"the ranks of {n} configurations correlate by {correlation:.2f} (Spearman)"
    )
    best = f"{same} of the best {tenth} are the same" if tenth > 1 else ""
    return capital(joined([alike, best, _directions(comparison)]))


def comparison_text(
    comparison: Comparison, names: Names, round_name: str, pictures: Sequence[str], files: Sequence[str]
) -> str:
    """The whole page. pictures: as Markdown. files: tables in the same folder."""
    blocks = [
        f"# {names[0]} compared with {names[1]}: round {round_name}",
        f"{finding(comparison)}.",
        "\n".join(f"- {line}." for line in _details(comparison, names)),
        _differing(comparison, names),
        *pictures,
        _effects(comparison, names),
        "Files: " + ", ".join(f"[{name}]({name})" for name in files),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _directions(comparison: Comparison) -> str:
    verdicts = comparison.verdicts
    same, opposite = verdicts.count(Verdict.SAME), verdicts.count(Verdict.OPPOSITE)
    if same + opposite == 0:
        return "no effect is clear in both" if verdicts else ""
    return f"{same} of {same + opposite} effects that are clear in both have the same direction"


def _details(comparison: Comparison, names: Names) -> list[str]:
    n = len(comparison.configurations)
    lost = f"; {comparison.diverged} more diverged in at least one of them" if comparison.diverged else ""
    unit = metric_label(comparison.metric, comparison.runs.all.tokenizer_kind)
    return [
        f"{n} configurations are compared, out of {comparison.counts[0]} of {names[0]} and {comparison.counts[1]} of "
        f"{names[1]}{lost}",
        f"{comparison.metric}: {unit}",
        _best(comparison, "here", "there", names),
        _best(comparison, "there", "here", names[::-1]),
        *_opposite(comparison, names),
    ]


def _best(comparison: Comparison, side: str, other: str, names: Names) -> str:
    row = comparison.configurations.nsmallest(1, side).to_dict("records")[0]
    settings = describe(row, comparison.runs.all.factors)
    place = comparison.place_of_best(side, other)
    return (
        f"Best of {names[0]}: {row[side]:.4f} with {settings}; in {names[1]} it has {row[other]:.4f} and rank {place} "
        f"of {len(comparison.configurations)}"
    )


def _opposite(comparison: Comparison, names: Names) -> list[str]:
    return [
        f"Opposite: {setting_at(here['factor'], here['level'])} against {level_label(here['reference'])} has a mean "
        f"difference of {here['mean']:+.3f} in {names[0]} and {there['mean']:+.3f} in {names[1]}"
        for (here, there), verdict in zip(comparison.effects, comparison.verdicts, strict=True)
        if verdict is Verdict.OPPOSITE
    ]


def _differing(comparison: Comparison, names: Names) -> str:
    if not comparison.differing:
        return "Settings that are constant within each experiment have the same value in both."
    rows = [
        [title(name), level_label(here), level_label(there)] for name, (here, there) in comparison.differing.items()
    ]
    return "Settings that are constant within each experiment and differ between them:\n\n" + table(
        ["setting", *names], rows, left=3
    )


def _effects(comparison: Comparison, names: Names) -> str:
    if not comparison.effects:
        return "No two of these configurations differ in one setting only."
    numbers = [f"{number}, {name}" for name in names for number in ("better", "mean", "95 % interval")]
    pairs = zip(comparison.effects, comparison.verdicts, strict=True)
    rows = [_effect_row(here, there, _in_words(verdict, names)) for (here, there), verdict in pairs]
    whole = table(["setting", "from", "to", *numbers, "verdict"], rows, left=3)
    return f"## What one setting does, in both\n\n{rule_of_pairs(comparison.metric)}\n\n{whole}"


def _effect_row(here: Effect, there: Effect, verdict: str) -> list[str]:
    cells = [title(here["factor"]), level_label(here["reference"]), level_label(here["level"])]
    for row in (here, there):
        cells += [f"{row['better']} of {row['pairs']}", f"{row['mean']:+.3f}", span(row["low"], row["high"])]
    return [*cells, verdict]


def _in_words(verdict: Verdict, names: Names) -> str:
    only = {Verdict.HERE_ONLY: names[0], Verdict.THERE_ONLY: names[1]}
    return f"clear in {only[verdict]} only" if verdict in only else verdict.value
