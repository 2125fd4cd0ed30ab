"""The pictures of a round, as PNG and SVG, each under a finding computed from the data."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from rnnlab.analysis import sentences
from rnnlab.analysis.effects import paired_effects
from rnnlab.analysis.names import curve_series, metric_label, symbol
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.bundle import Line, lines_of
from rnnlab.analysis.plots.curves import curves_figure
from rnnlab.analysis.plots.panels import panels_of
from rnnlab.analysis.plots.ranks import rank_figure
from rnnlab.analysis.plots.swarm import swarm_figure
from rnnlab.analysis.plots.vector import svg
from rnnlab.analysis.question import Question
from rnnlab.analysis.ranking import rank, summarize
from rnnlab.analysis.replicates import replicates
from rnnlab.analysis.results import comparable, factors, tokenizer_kind
from rnnlab.queue.job import Curve

_FEWEST_POINTS = 3  # below the threshold, for a picture of them
_CURVE = "ema_loss"  # the series drawn where the metric is not read from a curve


_TITLES = {
    "curves": "Training curves",
    "factors": "Every run by setting",
    "factors-below": "Runs below the threshold by setting",
}


@dataclass(frozen=True)
class Picture:
    """One picture, drawn."""

    title: str  # what it shows
    caption: str  # what it says: the headline that stands in the picture too
    png: bytes
    svg: str  # an SVG document


def round_pictures(frame: pd.DataFrame, curves: Mapping[int, Curve], question: Question) -> dict[str, Picture]:
    """Pictures by the ending of their file: curves, factors, factors-below.

    Those that nothing can be said in yet are left out.
    curves: sorted losses stand in where no job has a curve. factors: one panel a setting. factors-below: the same for
    the runs below the threshold, or words where they are fewer than three; only with a threshold.
    Raises UsageError for a metric that no result has.
    """
    lines = lines_of(curves, frame["id"].tolist(), curve_series(question.metric) or _CURVE)
    figures: dict[str, Figure] = {}
    if lines:
        figures["curves"] = _curves(frame, lines, question)
    if len(comparable(frame, question.metric)):
        if not lines:
            headline = f"{_best(frame, question)}; no training curves were recorded or imported"
            figures["curves"] = rank_figure(
                frame, question.metric, _label(frame, question), headline, question.threshold
            )
        figures["factors"] = _factors(frame, question)
        if question.threshold is not None:
            figures["factors-below"] = _below(frame, question, question.threshold)
    return {name: _drawn(_TITLES[name], figure) for name, figure in figures.items()}


def _drawn(title: str, figure: Figure) -> Picture:
    headline = figure.get_suptitle().replace("\n", " ").replace("\N{NO-BREAK SPACE}", " ")
    return Picture(title, f"{headline}.", style.png(figure), svg(figure))


def _curves(frame: pd.DataFrame, lines: list[Line], question: Question) -> Figure:
    series = curve_series(question.metric)
    label = f"EMA of training loss (nats per {symbol(tokenizer_kind(frame))})"
    threshold = question.threshold if series else None  # a validation loss has another axis
    return curves_figure(frame, lines, question.metric, label, _best(frame, question), threshold)


def _factors(frame: pd.DataFrame, question: Question) -> Figure:
    panels = panels_of(frame, question.metric)
    return swarm_figure(
        panels, _label(frame, question), _strongest(frame, question) + _so_far(frame), question.threshold
    )


def _strongest(frame: pd.DataFrame, question: Question) -> str:
    effects, replicated = paired_effects(frame, question.metric), replicates(frame, question.metric)
    if effects.empty:
        return "The finished runs differ in their seed only"
    if strongest := sentences.strongest_effect(effects, "the loss"):
        return sentences.capital(strongest)
    if (replicated["n"] > 1).all():
        return sentences.separation(replicated, brief=True)
    return sentences.no_clear_effect(effects)


def _below(frame: pd.DataFrame, question: Question, threshold: float) -> Figure:
    metric = question.metric
    summary = summarize(frame, metric, threshold)
    finding = sentences.below(summary, threshold, question.threshold_meaning) + _so_far(frame)
    if (summary.below or 0) < _FEWEST_POINTS:
        runs = rank(comparable(frame, metric), metric).head(summary.below or 1).to_dict("records")
        names = "; ".join(sentences.named_run(run, metric, factors(frame)) for run in runs)
        which = "The best run" if not summary.below else "This run" if summary.below == 1 else "These runs"
        return style.words_figure(finding, f"Too few for a picture of their settings. {which}: {names}.")
    headline = sentences.joined([finding, sentences.sharpest_share(frame, metric, threshold)])
    return swarm_figure(panels_of(frame, metric, below=threshold), _label(frame, question), headline)


def _best(frame: pd.DataFrame, question: Question) -> str:
    summary = summarize(frame, question.metric)
    if not summary.comparable:
        return f"No run can be compared yet: {summary.finished} of {summary.jobs} jobs are finished"
    best = rank(frame, question.metric).iloc[0].to_dict()
    run = sentences.named_run(best, question.metric, factors(frame))
    many = "Best of 1 run" if summary.comparable == 1 else f"Best of {summary.comparable} runs"
    return f"{many}: {run}; median {summary.median:.4f}" + _so_far(frame)


def _so_far(frame: pd.DataFrame) -> str:
    summary = summarize(frame, "min_loss")
    return f" ({summary.finished} of {summary.jobs} jobs finished)" if summary.finished < summary.jobs else ""


def _label(frame: pd.DataFrame, question: Question) -> str:
    return metric_label(question.metric, tokenizer_kind(frame))
