"""The pictures of a round, each under a finding computed from the data."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnlab.analysis import sentences
from rnnlab.analysis.effects import paired_effects
from rnnlab.analysis.markdown import where_text
from rnnlab.analysis.names import curve_series, metric_label, metric_title, symbol
from rnnlab.analysis.parameters import parameters_of
from rnnlab.analysis.plots import cells, headlines, pareto, style
from rnnlab.analysis.plots.bundle import Line, lines_of
from rnnlab.analysis.plots.curves import curves_figure
from rnnlab.analysis.plots.forest import forest_figure
from rnnlab.analysis.plots.heatmap import heatmap_figure
from rnnlab.analysis.plots.interactions import interactions_figure
from rnnlab.analysis.plots.panels import panels_of
from rnnlab.analysis.plots.parallel import MOST_SETTINGS, parallel_figure
from rnnlab.analysis.plots.ranks import rank_figure
from rnnlab.analysis.plots.seeds import seeds_figure
from rnnlab.analysis.plots.swarm import swarm_figure
from rnnlab.analysis.plots.tradeoff import tradeoff_figure
from rnnlab.analysis.question import Question
from rnnlab.analysis.ranking import rank, summarize
from rnnlab.analysis.replicates import RULE, replicates
from rnnlab.analysis.results import comparable, factors, tokenizer_kind
from rnnlab.analysis.variance import Decomposition, decompose
from rnnlab.queue.job import Curve

_FEWEST_POINTS = 3  # below the threshold, or of different cost, for a picture of them
_FEWEST_LINES = 5  # runs, for parallel coordinates
_CURVE = "ema_loss"  # the series drawn where the metric is not read from a curve


@dataclass(frozen=True)
class Picture:
    """One picture, drawn."""

    title: str  # what it shows
    caption: str  # what it says: the headline that stands in the picture too
    png: bytes
    svg: str  # one <svg> element, a file or a part of a page


@dataclass(frozen=True)
class _Drawing:
    """One picture, to be written."""

    title: str
    caption: str
    figure: Figure


def round_pictures(frame: pd.DataFrame, curves: Mapping[int, Curve], question: Question) -> dict[str, Picture]:
    """Pictures by the ending of their file, those that nothing can be said in (yet) left out.

    curves: all training curves; sorted losses where no job has one. factors: one panel a setting. factors-below: the
    same for the runs below the threshold, or words where they are fewer than three. effects: paired differences.
    interactions: shares of the variance. parallel: parallel coordinates. grid: two numeric settings against each other.
    parameters, seconds: loss against cost. seeds: configurations that ran with several seeds.
    Raises UsageError for a metric that no result has.
    """
    return {name: _picture(name, drawing) for name, drawing in _drawings(frame, curves, question).items()}


def _picture(name: str, drawing: _Drawing) -> Picture:
    style.settle(drawing.figure)
    return Picture(drawing.title, f"{drawing.caption}.", style.png(drawing.figure), style.svg(drawing.figure, name))


def _drawings(frame: pd.DataFrame, curves: Mapping[int, Curve], question: Question) -> dict[str, _Drawing]:
    lines = lines_of(curves, frame["id"].tolist(), curve_series(question.metric) or _CURVE)
    found: dict[str, _Drawing | None] = {"curves": _curves(frame, lines, question) if lines else None}
    if len(comparable(frame, question.metric)):
        shares = decompose(frame, question.metric)
        if not lines:
            found["curves"] = _ranks(frame, question)
        found["factors"] = _factors(frame, question)
        if question.threshold is not None:
            found["factors-below"] = _below(frame, question, question.threshold)
        found["effects"] = _effects(frame, question)
        found["interactions"] = _interactions(frame, shares)
        found["parallel"] = _parallel(frame, question, shares)
        found["grid"] = _grid(frame, question, shares)
        found["parameters"] = _tradeoff(frame, question, parameters_of(frame), "trainable parameters", "parameters")
        found["seconds"] = _tradeoff(frame, question, frame["seconds"], "seconds in training", "seconds")
        found["seeds"] = _seeds(frame, question)
    return {name: drawing for name, drawing in found.items() if drawing is not None}


def _curves(frame: pd.DataFrame, lines: list[Line], question: Question) -> _Drawing:
    series = curve_series(question.metric)
    label = f"EMA of training loss (nats per {symbol(tokenizer_kind(frame))})"
    threshold = question.threshold if series else None  # a validation loss has another axis
    headline = _best(frame, question)
    return _Drawing(
        "Training curves", headline, curves_figure(frame, lines, question.metric, label, headline, threshold)
    )


def _ranks(frame: pd.DataFrame, question: Question) -> _Drawing:
    headline = f"{_best(frame, question)}; no training curves were recorded or imported"
    figure = rank_figure(frame, question.metric, _label(frame, question), headline, question.threshold)
    return _Drawing("Sorted losses", headline, figure)


def _factors(frame: pd.DataFrame, question: Question) -> _Drawing:
    headline = _strongest(frame, question) + _so_far(frame)
    panels = panels_of(frame, question.metric)
    figure = swarm_figure(panels, _label(frame, question), headline, question.threshold)
    return _Drawing("Every run by setting", headline, figure)


def _strongest(frame: pd.DataFrame, question: Question) -> str:
    effects, replicated = paired_effects(frame, question.metric), replicates(frame, question.metric)
    if effects.empty:
        return "The finished runs differ in their seed only"
    if strongest := sentences.strongest_effect(effects, "the loss"):
        return sentences.capital(strongest)
    if (replicated["n"] > 1).all():
        return sentences.separation(replicated, brief=True)
    return sentences.no_clear_effect(effects)


def _below(frame: pd.DataFrame, question: Question, threshold: float) -> _Drawing:
    heading, metric = "Runs below the threshold by setting", question.metric
    summary = summarize(frame, metric, threshold)
    finding = sentences.below(summary, threshold, question.threshold_meaning) + _so_far(frame)
    if (summary.below or 0) < _FEWEST_POINTS:
        runs = rank(comparable(frame, metric), metric).head(summary.below or 1).to_dict("records")
        names = "; ".join(sentences.named_run(run, metric, factors(frame)) for run in runs)
        which = "The best run" if not summary.below else "This run" if summary.below == 1 else "These runs"
        text = f"Too few for a picture of their settings. {which}: {names}."
        return _Drawing(heading, finding, style.words_figure(finding, text))
    headline = sentences.joined([finding, sentences.sharpest_share(frame, metric, threshold)])
    panels = panels_of(frame, metric, below=threshold)
    return _Drawing(heading, headline, swarm_figure(panels, _label(frame, question), headline))


def _effects(frame: pd.DataFrame, question: Question) -> _Drawing | None:
    effects = paired_effects(frame, question.metric)
    if not np.isfinite(effects["median"].to_numpy(dtype=float)).any():
        return None
    focused = paired_effects(frame, question.metric, question.focus) if question.focus else effects.head(0)
    groups = {"all runs": effects}
    if len(focused):
        groups[where_text(question.focus)] = focused
    headline = headlines.effects(effects, focused, question.focus) + _so_far(frame)
    label = f"difference of {metric_title(question.metric)}"
    return _Drawing("What each setting does, all others equal", headline, forest_figure(groups, label, headline))


def _interactions(frame: pd.DataFrame, shares: Decomposition) -> _Drawing | None:
    if not shares.interactions:
        return None
    headline = headlines.interactions(shares) + _so_far(frame)
    return _Drawing("What settings explain, alone and in pairs", headline, interactions_figure(shares, headline))


def _parallel(frame: pd.DataFrame, question: Question, shares: Decomposition) -> _Drawing | None:
    # What explains most stands nearest to the metric.
    settings = [name for name in shares.main if name in factors(comparable(frame, question.metric))]
    settings = settings[:MOST_SETTINGS][::-1]
    if len(settings) < 2 or len(comparable(frame, question.metric)) < _FEWEST_LINES:
        return None
    headline = headlines.of_the_best(frame, question.metric, settings) + _so_far(frame)
    figure = parallel_figure(frame, settings, question.metric, _label(frame, question), headline)
    return _Drawing("Every run through all settings", headline, figure)


def _grid(frame: pd.DataFrame, question: Question, shares: Decomposition) -> _Drawing | None:
    choice = cells.choose(frame, shares.main)
    if choice is None:
        return None
    panels = cells.grids(frame, question.metric, choice)
    headline = headlines.lowest_cell(frame, choice, panels) + _so_far(frame)
    figure = heatmap_figure(frame, choice, panels, _label(frame, question), headline)
    return _Drawing("Two numeric settings against each other", headline, figure)


def _tradeoff(
    frame: pd.DataFrame, question: Question, cost: "pd.Series[float]", cost_label: str, unit: str
) -> _Drawing | None:
    points = pareto.configurations(frame, question.metric, cost)
    if points["cost"].nunique() < _FEWEST_POINTS:
        return None
    headline = headlines.saving(points, unit) + _so_far(frame)
    figure = tradeoff_figure(points, question.metric, _label(frame, question), cost_label, unit, headline)
    return _Drawing(f"Loss against {unit}", headline, figure)


def _seeds(frame: pd.DataFrame, question: Question) -> _Drawing | None:
    table = replicates(frame, question.metric)
    several = table[(table["n"] > 1) | (table.index == 0)]
    if len(several) < 2 or (several["n"] > 1).sum() < 2:
        return None
    headline = sentences.separation(table, brief=True) + _so_far(frame)
    label = _label(frame, question)
    figure = seeds_figure(frame, question.metric, several, factors(frame), label, headline, RULE)
    return _Drawing("Seeds of each configuration", headline, figure)


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
