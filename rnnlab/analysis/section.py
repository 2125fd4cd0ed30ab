"""One round's section of the report, as Markdown."""

from collections.abc import Mapping, Sequence

import pandas as pd

from rnnlab.analysis import sentences
from rnnlab.analysis.effects import variance_explained
from rnnlab.analysis.markdown import effects_table, replicates_table, table, top_table, where_text
from rnnlab.analysis.names import metric_label, title
from rnnlab.analysis.question import Question
from rnnlab.analysis.ranking import Summary, rank, summarize
from rnnlab.analysis.replicates import RULE, replicates
from rnnlab.analysis.results import factors, tokenizer_kind

_PICTURES = {
    "curves": "Training curves",
    "factors": "Every run by setting",
    "factors-below": "Runs below the threshold by setting",
}


def key_sentence(frame: pd.DataFrame, question: Question) -> str:
    """The round in one line: progress where it is partial, the best, the threshold, what cannot be told apart."""
    summary = summarize(frame, question.metric, question.threshold)
    replicated = replicates(frame, question.metric)
    parts = [
        sentences.progress(summary) if summary.finished < summary.jobs else "",
        sentences.best(frame, question.metric),
        sentences.below(summary, question.threshold, question.threshold_meaning),
        sentences.separation(replicated) if (replicated["n"] > 1).any() else "",
    ]
    return ". ".join(sentences.capital(part) for part in parts if part)


def section(
    round_name: str,
    frame: pd.DataFrame,
    effects: pd.DataFrame,
    focused: pd.DataFrame,
    question: Question,
    links: Mapping[str, str],
    files: Sequence[str],
) -> str:
    """The whole section. links: pictures, ending -> path relative to the report. files: tables beside the report."""
    summary = summarize(frame, question.metric, question.threshold)
    head = f"## Round {round_name}\n\n{sentences.capital(sentences.progress(summary))}."
    if not summary.comparable:
        return f"{head}\n"
    replicated = replicates(frame, question.metric)
    blocks = [
        head,
        _numbers(summary, frame, question),
        "\n".join(f"- {finding}." for finding in _findings(frame, effects, replicated, question)),
        *(f"![{_PICTURES[name]}]({path})" for name, path in links.items()),
        f"### Best runs\n\n{top_table(rank(frame, question.metric), question.metric)}",
        _effects_block(frame, effects, focused, question),
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


def _findings(frame: pd.DataFrame, effects: pd.DataFrame, replicated: pd.DataFrame, question: Question) -> list[str]:
    summary = summarize(frame, question.metric, question.threshold)
    shares = "" if question.threshold is None else sentences.sharpest_share(frame, question.metric, question.threshold)
    below = sentences.below(summary, question.threshold, question.threshold_meaning)
    found = [
        sentences.best(frame, question.metric),
        sentences.joined([below, shares]),
        sentences.capital(sentences.strongest_effect(effects, question.metric)),
        f"{sentences.separation(replicated)} ({RULE})"
        if (replicated["n"] > 1).any()
        else sentences.separation(replicated),
    ]
    return [text for text in found if text]


def _effects_block(frame: pd.DataFrame, effects: pd.DataFrame, focused: pd.DataFrame, question: Question) -> str:
    if effects.empty:
        return ""
    rule = (
        f"A pair is two configurations that differ in one setting only; the difference of {question.metric} is that at "
        "the second level minus that at the first, so below zero is better; runs that differ only in their seed are "
        "averaged first. Clear: the better pairs are at least two standard errors of a fair coin from half of them."
    )
    shares = variance_explained(frame, question.metric)
    explained = ", ".join(f"{title(str(name))} {share:.1%}" for name, share in shares.items())
    blocks = [
        f"### What one setting does\n\n{rule}",
        effects_table(effects),
        f"Share of the variance of {question.metric} between the levels of one setting (eta squared): {explained}.",
    ]
    if question.focus:
        found = (
            f":\n\n{effects_table(focused)}" if len(focused) else ": none of these is finished, or they do not vary."
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
