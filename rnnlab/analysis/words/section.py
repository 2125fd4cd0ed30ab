"""One round's section of the report, as Markdown."""

from collections.abc import Sequence

from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.analysis.statistics.variance import LEAST_SHOWN
from rnnlab.analysis.words import seed_sentences, sentences
from rnnlab.analysis.words.markdown import (
    branches_table,
    effects_table,
    levels_table,
    replicates_table,
    shares_table,
    table,
    top_table,
    where_text,
)
from rnnlab.analysis.words.names import metric_label


def key_sentence(statistics: RoundStatistics) -> str:
    """The round in short: progress if it is partial, the effects, the best, the threshold.

    The effects are those that the experiment file asks about, or else the one that helps most.
    """
    question, summary = statistics.question, statistics.summary
    if not summary.comparable:
        return sentences.capital(sentences.progress(summary))
    parts = [
        sentences.progress(summary) if summary.finished < summary.jobs else "",
        *(_answers(statistics) or [_strongest(statistics)]),
        _best(statistics),
        sentences.below(summary, question.threshold, question.threshold_meaning),
    ]
    return ". ".join(sentences.capital(part) for part in parts if part)


def _answers(statistics: RoundStatistics) -> list[str]:
    """The effects of the settings that the experiment file asks about, as far as they vary."""
    return sentences.asked_effects(statistics.effects, statistics.question.about, statistics.metric)


def _strongest(statistics: RoundStatistics) -> str:
    """The effect that helps most among the runs of the focus, or else among all; if none is clear, why."""
    question, metric = statistics.question, statistics.metric
    inside = sentences.strongest_effect(statistics.focused_effects, metric) if question.focus else ""
    if inside:
        return f"with {where_text(question.focus)}: {inside}"
    return sentences.strongest_effect(statistics.effects, metric)


def _best(statistics: RoundStatistics) -> str:
    """The best configuration and how many may be the best; if each has a diverged seed, that and the best run."""
    if best := seed_sentences.best_mean(statistics.replicates):
        return best
    return sentences.joined([sentences.best(statistics.runs), seed_sentences.separation(statistics.replicates)], ". ")


def section(statistics: RoundStatistics, round_name: str, pictures: Sequence[str], files: Sequence[str]) -> str:
    """The whole section. pictures: as Markdown. files: tables in the folder of the report."""
    head = f"## Round {round_name}\n\n{sentences.capital(sentences.progress(statistics.summary))}."
    if not statistics.summary.comparable:
        return f"{head}\n"
    blocks = [
        head,
        _numbers(statistics),
        "\n".join(f"- {finding}." for finding in _findings(statistics)),
        *pictures,
        f"### Best runs\n\n{top_table(statistics.runs)}",
        _effects_block(statistics),
        _levels_block(statistics),
        _shares_block(statistics),
        _seeds_block(statistics),
    ]
    same = sentences.shared_settings(statistics.runs)
    blocks.append(f"The same in all runs: {same}." if same else "")
    blocks.append("Files: " + ", ".join(f"[{name}]({name})" for name in files))
    return "\n\n".join(filter(None, blocks)) + "\n"


def _numbers(statistics: RoundStatistics) -> str:
    summary, metric, threshold = statistics.summary, statistics.metric, statistics.question.threshold
    header = ["jobs", "finished", "best", "median", "worst"]
    row = [
        str(summary.jobs),
        str(summary.finished),
        *(f"{x:.4f}" for x in (summary.best, summary.median, summary.worst)),
    ]
    if threshold is not None:
        header.append(f"below {threshold:g}")
        row.append(str(summary.below))
    label = metric_label(metric, statistics.runs.all.tokenizer_kind)
    return f"{metric}: {label}\n\n" + table(header, [row], left=0)


def _findings(statistics: RoundStatistics) -> list[str]:
    question, replicated = statistics.question, statistics.replicates
    below = sentences.below(statistics.summary, question.threshold, question.threshold_meaning)
    found = [
        seed_sentences.best_mean(replicated, alone=True) or sentences.best(statistics.runs),
        sentences.joined([below, sentences.sharpest_share(statistics.below_threshold)]),
        sentences.capital(sentences.strongest_effect(statistics.effects, statistics.metric)),
        seed_sentences.separation(replicated),
        seed_sentences.chances(replicated),
        sentences.capital(sentences.unlike_windows(statistics.runs)),
        seed_sentences.noise(statistics),
    ]
    return [text for text in found if text]


def _effects_block(statistics: RoundStatistics) -> str:
    effects, question, metric = statistics.effects, statistics.question, statistics.metric
    if not len(effects):
        return ""
    if not effects.most_pairs:
        return f"### What one setting does\n\n{sentences.no_pairs()}."
    blocks = [
        f"### What one setting does\n\n{sentences.rule_of_pairs(metric)}{sentences.rule_of_ranges(effects)}",
        effects_table(effects.with_pairs),
    ]
    if any(tree is not None and tree.parts for tree in effects.trees):
        blocks.append(f"{sentences.RULE_OF_BRANCHES}\n\n{branches_table(effects)}")
    if len(effects.without_pairs):
        blocks.append(f"Without a pair: {sentences.without_pairs(effects)}.")
    if question.focus:
        focused = statistics.focused_effects
        found = (
            f":\n\n{effects_table(focused.with_pairs)}"
            if len(focused)
            else ": none of these is finished, or their settings do not vary."
        )
        blocks.append(f"Only runs with {where_text(question.focus)}{found}")
        lines = [sentences.effect(row, metric, tree) for row, tree in zip(focused.rows, focused.trees, strict=True)]
        blocks.append("\n".join(f"- {sentences.capital(line)}." for line in lines))
    if diverged := effects.diverged_pairs:
        blocks.append(
            f"{diverged} pairs are left out because one of the two {sentences.lost(statistics.runs)} (columns "
            "only_*_diverged of the file)."
        )
    return "\n\n".join(blocks)


def _levels_block(statistics: RoundStatistics) -> str:
    """The levels of each factor side by side, over the rows in which nothing else differs."""
    metric = statistics.metric
    tables = [one for one in statistics.one_factor.values() if len(one.complete)]
    if not tables:
        return ""
    rule = (
        f"A row is one combination of all other settings that was run at every level. Best: the level with the lowest "
        f"{metric} of the row. The rows themselves are in the files `*-by-*`."
    )
    found = [text for text in (sentences.series(one, metric) for one in tables) if text]
    blocks = [f"### Only one setting varies\n\n{rule}", levels_table(tables, metric)]
    return "\n\n".join([*blocks, "\n".join(f"- {sentences.capital(text)}." for text in found)]).rstrip()


def _shares_block(statistics: RoundStatistics) -> str:
    shares = statistics.variance
    if not shares.main or not shares.varies:
        return ""
    if shares.largest < LEAST_SHOWN:
        return f"### What explains the differences\n\n{sentences.confounded()}."
    text = f"Share of the variance of {statistics.metric} ({sentences.method_of_shares(shares)})."
    said = sentences.dependence(statistics.dependence)
    lines = [f"### What explains the differences\n\n{text}", shares_table(shares)]
    return "\n\n".join([*lines, f"{sentences.capital(said)}." if said else ""]).rstrip()


def _seeds_block(statistics: RoundStatistics) -> str:
    if not statistics.replicates.any_repeated:
        return ""
    rule = sentences.capital(seed_sentences.RULE)
    text = (
        f"Mean over seeds of {statistics.metric}. {rule}. Moderated SD: of one run, without what its seed does "
        "to all configurations alike, estimated with the noise of all configurations."
    )
    return f"### Over seeds\n\n{text}\n\n{replicates_table(statistics.replicates)}"
