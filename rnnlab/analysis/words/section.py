"""One round's section of the report, as Markdown."""

from collections.abc import Sequence

import pandas as pd

from rnnlab.analysis.question import Question
from rnnlab.analysis.runs import factors, tokenizer_kind
from rnnlab.analysis.statistics.noise import Noise
from rnnlab.analysis.statistics.one_factor import one_factor_tables
from rnnlab.analysis.statistics.ranking import Summary, rank, summarize
from rnnlab.analysis.statistics.replicates import RULE, replicates
from rnnlab.analysis.statistics.variance import decompose
from rnnlab.analysis.words import seed_sentences, sentences
from rnnlab.analysis.words.markdown import (
    LEAST_SHOWN,
    effects_table,
    levels_table,
    replicates_table,
    shares_table,
    table,
    top_table,
    where_text,
)
from rnnlab.analysis.words.names import metric_label


def key_sentence(
    frame: pd.DataFrame, effects: pd.DataFrame, focused: pd.DataFrame, question: Question, noise: Noise | None = None
) -> str:
    """The round in short: progress where it is partial, the strongest effect, the best with its noise, the threshold.

    focused: the effects among the runs that the question is about, which say more than those among all.
    """
    metric = question.metric
    summary = summarize(frame, metric, question.threshold)
    if not summary.comparable:
        return sentences.capital(sentences.progress(summary))
    inside = sentences.strongest_effect(focused, metric) if question.focus else ""
    strongest = (
        f"with {where_text(question.focus)}: {inside}" if inside else sentences.strongest_effect(effects, metric)
    )
    parts = [
        sentences.progress(summary) if summary.finished < summary.jobs else "",
        strongest,
        _best(frame, metric, noise),
        sentences.below(summary, question.threshold, question.threshold_meaning),
    ]
    return ". ".join(sentences.capital(part) for part in parts if part)


def _best(frame: pd.DataFrame, metric: str, noise: Noise | None) -> str:
    """The best mean where there are several seeds, else the best run; and what cannot be told apart from it."""
    replicated = replicates(frame, metric)
    if best := seed_sentences.best_mean(replicated, frame):
        return best
    close = seed_sentences.within_the_noise(frame, noise, metric) if noise is not None else ""
    repeated = seed_sentences.separation(replicated, brief=True) if (replicated["n"] > 1).any() else ""
    return sentences.joined([sentences.joined([sentences.best(frame, metric), close]), repeated], ". ")


def section(
    round_name: str,
    frame: pd.DataFrame,
    effects: pd.DataFrame,
    focused: pd.DataFrame,
    question: Question,
    pictures: Sequence[str],
    files: Sequence[str],
    noise: Noise | None = None,
) -> str:
    """The whole section. pictures: as Markdown. files: tables beside the report.

    noise: of runs over seeds, from this round or others; None where no configuration ran with several.
    """
    summary = summarize(frame, question.metric, question.threshold)
    head = f"## Round {round_name}\n\n{sentences.capital(sentences.progress(summary))}."
    if not summary.comparable:
        return f"{head}\n"
    replicated = replicates(frame, question.metric)
    blocks = [
        head,
        _numbers(summary, frame, question),
        "\n".join(f"- {finding}." for finding in _findings(frame, effects, replicated, question, noise)),
        *pictures,
        f"### Best runs\n\n{top_table(rank(frame, question.metric), question.metric)}",
        _effects_block(effects, focused, question),
        _levels_block(frame, question),
        _shares_block(frame, question),
    ]
    if (replicated["n"] > 1).any():
        text = f"Mean over seeds of {question.metric}; {RULE}."
        blocks.append(f"### Over seeds\n\n{text}\n\n{replicates_table(replicated, factors(frame))}")
    same = sentences.shared_settings(frame)
    blocks.append(f"The same in all runs: {same}." if same else "")
    blocks.append("Files: " + ", ".join(f"[{name}]({name})" for name in files))
    return "\n\n".join(filter(None, blocks)) + "\n"


def _numbers(summary: Summary, frame: pd.DataFrame, question: Question) -> str:
    header = ["jobs", "finished", "best", "median", "worst"]
    row = [
        str(summary.jobs),
        str(summary.finished),
        *(f"{x:.4f}" for x in (summary.best, summary.median, summary.worst)),
    ]
    if question.threshold is not None:
        header.append(f"below {question.threshold:g}")
        row.append(str(summary.below))
    return f"{question.metric}: {metric_label(question.metric, tokenizer_kind(frame))}\n\n" + table(
        header, [row], left=0
    )


def _findings(
    frame: pd.DataFrame, effects: pd.DataFrame, replicated: pd.DataFrame, question: Question, noise: Noise | None
) -> list[str]:
    summary = summarize(frame, question.metric, question.threshold)
    shares = "" if question.threshold is None else sentences.sharpest_share(frame, question.metric, question.threshold)
    below = sentences.below(summary, question.threshold, question.threshold_meaning)
    found = [
        seed_sentences.best_mean(replicated, frame, alone=True) or sentences.best(frame, question.metric),
        sentences.joined([below, shares]),
        sentences.capital(sentences.strongest_effect(effects, question.metric)),
        seed_sentences.separation(replicated),
        seed_sentences.seeds_to_go(replicated),
        sentences.capital(sentences.unlike_windows(frame, question.metric)),
        seed_sentences.noise(frame, noise, question.metric) if noise is not None else "",
    ]
    return [text for text in found if text]


def _effects_block(effects: pd.DataFrame, focused: pd.DataFrame, question: Question) -> str:
    if effects.empty:
        return ""
    if not effects["pairs"].any():
        return f"### What one setting does\n\n{sentences.no_pairs()}."
    blocks = [
        f"### What one setting does\n\n{sentences.rule_of_pairs(question.metric)}{sentences.rule_of_ranges(effects)}",
        effects_table(effects[effects["pairs"] > 0]),
    ]
    if (effects["pairs"] == 0).any():
        blocks.append(f"Without a pair: {sentences.without_pairs(effects)}.")
    if question.focus:
        found = (
            f":\n\n{effects_table(focused[focused['pairs'] > 0])}"
            if len(focused)
            else ": none of these is finished, or they do not vary."
        )
        blocks.append(f"Only runs with {where_text(question.focus)}{found}")
        lines = [sentences.effect(row, question.metric) for row in focused.to_dict("records")]
        blocks.append("\n".join(f"- {sentences.capital(line)}." for line in lines))
    diverged = int(effects[["only_level_diverged", "only_reference_diverged"]].to_numpy().sum())
    if diverged:
        blocks.append(
            f"{diverged} pairs are left out because one of the two diverged (columns only_*_diverged of the file)."
        )
    return "\n\n".join(blocks)


def _levels_block(frame: pd.DataFrame, question: Question) -> str:
    """The levels of each factor side by side, over the rows in which nothing else differs."""
    tables = [one for one in one_factor_tables(frame, question.metric).values() if len(one.complete)]
    if not tables:
        return ""
    rule = (
        f"A row is one setting of all other factors that was run at every level. Best: the level with the lowest "
        f"{question.metric} of the row. The rows themselves are in the files `*-by-*`."
    )
    found = [text for text in (sentences.series(one, question.metric) for one in tables) if text]
    blocks = [f"### Only one setting varies\n\n{rule}", levels_table(tables, question.metric)]
    return "\n\n".join([*blocks, "\n".join(f"- {sentences.capital(text)}." for text in found)]).rstrip()


def _shares_block(frame: pd.DataFrame, question: Question) -> str:
    shares = decompose(frame, question.metric)
    if not shares.main or not shares.varies:
        return ""
    if not any(share >= LEAST_SHOWN for share in [*shares.main.values(), *shares.interactions.values()]):
        return f"### What explains the differences\n\n{sentences.confounded()}."
    text = f"Share of the variance of {question.metric} ({shares.method})."
    said = sentences.strongest_interaction(frame, shares, question.metric)
    lines = [f"### What explains the differences\n\n{text}", shares_table(shares)]
    return "\n\n".join([*lines, f"{sentences.capital(said)}." if said else ""]).rstrip()
