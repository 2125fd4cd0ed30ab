"""The pictures of a round, each under a finding computed from the data."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from rnnlab.analysis.plots import headlines, heatmap_cells, pareto_line, style
from rnnlab.analysis.plots.bundle import Line, lines_of
from rnnlab.analysis.plots.curves import curves_figure
from rnnlab.analysis.plots.forest import forest_figure
from rnnlab.analysis.plots.heatmap import heatmap_figure
from rnnlab.analysis.plots.interactions import interactions_figure
from rnnlab.analysis.plots.panels import panels_of
from rnnlab.analysis.plots.parallel import MOST_SETTINGS, parallel_figure
from rnnlab.analysis.plots.ranks import rank_figure
from rnnlab.analysis.plots.scales import is_continuous
from rnnlab.analysis.plots.seeds import seeds_figure
from rnnlab.analysis.plots.swarm import swarm_figure
from rnnlab.analysis.plots.tradeoff import Cost, tradeoff_figure
from rnnlab.analysis.question import Question
from rnnlab.analysis.runs import comparable, factors, levels, tokenizer_kind
from rnnlab.analysis.statistics.effects import paired_effects
from rnnlab.analysis.statistics.parameters import parameters_of
from rnnlab.analysis.statistics.ranking import rank, summarize
from rnnlab.analysis.statistics.replicates import RULE, replicates
from rnnlab.analysis.statistics.variance import Decomposition, decompose
from rnnlab.analysis.words import seed_sentences, sentences
from rnnlab.analysis.words.markdown import where_text
from rnnlab.analysis.words.names import curve_series, metric_label, symbol
from rnnlab.queue.job import Curve

_FEWEST_POINTS = 3  # below the threshold, or of different cost, for a picture of them
_FEWEST_LINES = 5  # runs or configurations, for a picture of each on its own
_LEAST_SHARE = 0.05  # of the variance, for a picture of shares
_LEAST_FILLED = 2 / 3  # of the cells of a grid
_SECONDS = Cost(
    "seconds in training",
    "seconds",
    "Runs trained together as one cohort share its time equally: their seconds tell how the scheduler put them "
    "together, not only what each would take alone.",
)
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


@dataclass(frozen=True)
class _Round:
    """A round with at least one run that can be compared, and what several pictures need of it."""

    frame: pd.DataFrame
    question: Question
    shares: Decomposition
    effects: pd.DataFrame
    replicated: pd.DataFrame

    @property
    def metric(self) -> str:
        return self.question.metric

    @property
    def label(self) -> str:
        """Of the metric's axis."""
        return metric_label(self.metric, tokenizer_kind(self.frame))


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
    return Picture(drawing.title, f"{drawing.caption}.", *style.png_and_svg(drawing.figure, name))


def _drawings(frame: pd.DataFrame, curves: Mapping[int, Curve], question: Question) -> dict[str, _Drawing]:
    metric = question.metric
    lines = lines_of(curves, frame["id"].tolist(), curve_series(metric) or _CURVE)
    shares = decompose(frame, metric)
    found: dict[str, _Drawing | None] = {"curves": _curves(frame, lines, question, shares) if lines else None}
    if len(comparable(frame, metric)):
        whole = _Round(frame, question, shares, paired_effects(frame, metric), replicates(frame, metric))
        found["curves"] = found["curves"] or _ranks(whole)
        found["factors"] = _factors(whole)
        found["factors-below"] = None if question.threshold is None else _below(whole, question.threshold)
        found["effects"] = _effects(whole)
        found["interactions"] = _interactions(whole)
        found["parallel"] = _parallel(whole)
        found["grid"] = _grid(whole)
        found["parameters"] = _tradeoff(whole, parameters_of(frame), Cost("trainable parameters", "parameters"))
        found["seconds"] = _tradeoff(whole, frame["seconds"], _SECONDS)
        found["seeds"] = _seeds(whole)
    return {name: drawing for name, drawing in found.items() if drawing is not None}


def _curves(frame: pd.DataFrame, lines: list[Line], question: Question, shares: Decomposition) -> _Drawing:
    series = curve_series(question.metric)
    label = f"EMA of training loss (nats per {symbol(tokenizer_kind(frame))})"
    threshold = question.threshold if series else None  # a validation loss has another axis
    headline = _best(frame, question)
    figure = curves_figure(frame, lines, question.metric, shares.main, label, headline, threshold)
    return _Drawing("Training curves", headline, figure)


def _ranks(whole: _Round) -> _Drawing:
    headline = f"{_best(whole.frame, whole.question)}; no training curves were recorded or imported"
    threshold = whole.question.threshold
    figure = rank_figure(whole.frame, whole.metric, whole.shares.main, whole.label, headline, threshold)
    return _Drawing("Sorted losses", headline, figure)


def _factors(whole: _Round) -> _Drawing:
    headline = _strongest(whole) + _so_far(whole.frame)
    panels = panels_of(whole.frame, whole.metric, effects=whole.effects)
    figure = swarm_figure(panels, whole.label, headline, whole.question.threshold)
    return _Drawing("Every run by setting", headline, figure)


def _strongest(whole: _Round) -> str:
    if whole.effects.empty:
        return "The finished runs differ in their seed only"
    if strongest := sentences.strongest_effect(whole.effects, "the loss"):
        return sentences.capital(strongest)
    if (whole.replicated["n"] + whole.replicated["diverged"] > 1).all():
        return seed_sentences.separation(whole.replicated, brief=True)
    return sentences.no_clear_effect(whole.effects)


def _below(whole: _Round, threshold: float) -> _Drawing | None:
    frame, metric = whole.frame, whole.metric
    heading = "Runs below the threshold by setting"
    summary = summarize(frame, metric, threshold)
    if summary.below == summary.comparable:
        return None  # the picture of all runs shows them
    finding = sentences.below(summary, threshold, whole.question.threshold_meaning) + _so_far(frame)
    if (summary.below or 0) < _FEWEST_POINTS:
        runs = rank(comparable(frame, metric), metric).head(summary.below or 1).to_dict("records")
        names = "; ".join(sentences.named_run(run, metric, factors(frame)) for run in runs)
        which = "The best run" if not summary.below else "This run" if summary.below == 1 else "These runs"
        text = f"Too few for a picture of their settings. {which}: {names}."
        return _Drawing(heading, finding, style.words_figure(finding, text))
    headline = sentences.joined([finding, sentences.sharpest_share(frame, metric, threshold)])
    return _Drawing(heading, headline, swarm_figure(panels_of(frame, metric, below=threshold), whole.label, headline))


def _effects(whole: _Round) -> _Drawing | None:
    if whole.effects.empty or whole.effects["pairs"].max() < sentences.FEWEST_PAIRS:
        return None
    focus = whole.question.focus
    focused = paired_effects(whole.frame, whole.metric, focus) if focus else whole.effects.head(0)
    groups = {"all runs": whole.effects}
    if len(focused):
        groups[where_text(focus)] = focused
    headline = headlines.effects(whole.effects, focused, focus) + _so_far(whole.frame)
    figure = forest_figure(groups, f"difference of {whole.label}", headline)
    return _Drawing("What each setting does, all others equal", headline, figure)


def _interactions(whole: _Round) -> _Drawing | None:
    shares = [*whole.shares.main.values(), *whole.shares.interactions.values()]
    if not whole.shares.interactions or not any(share >= _LEAST_SHARE for share in shares):
        return None
    headline = headlines.interactions(whole.shares) + _so_far(whole.frame)
    figure = interactions_figure(whole.shares, headline)
    return _Drawing("What settings explain, alone and in pairs", headline, figure)


def _parallel(whole: _Round) -> _Drawing | None:
    # What explains most stands nearest to the metric; numbers with too many values for a share stand farthest.
    told = list(whole.shares.main)
    untold = [name for name in factors(whole.frame) if name not in told and is_continuous(levels(whole.frame[name]))]
    settings = [*told, *untold][:MOST_SETTINGS][::-1]
    if len(settings) < 2 or len(comparable(whole.frame, whole.metric)) < _FEWEST_LINES:
        return None
    headline = headlines.of_the_best(whole.frame, whole.metric, told) + _so_far(whole.frame)
    figure = parallel_figure(whole.frame, settings, whole.metric, whole.label, headline)
    return _Drawing("Every run through all settings", headline, figure)


def _grid(whole: _Round) -> _Drawing | None:
    choice = heatmap_cells.choose(whole.frame, whole.shares.main)
    if choice is None:
        return None
    panels = heatmap_cells.grids(whole.frame, whole.metric, choice)
    if heatmap_cells.filled(panels) < _LEAST_FILLED:
        return None
    headline = headlines.lowest_cell(whole.frame, choice, panels) + _so_far(whole.frame)
    figure = heatmap_figure(whole.frame, choice, panels, whole.label, headline)
    return _Drawing("Two numeric settings against each other", headline, figure)


def _tradeoff(whole: _Round, costs: "pd.Series[float]", cost: Cost) -> _Drawing | None:
    points = pareto_line.configurations(whole.frame, whole.metric, costs)
    if len(points) < _FEWEST_LINES or points["cost"].nunique() < _FEWEST_POINTS:
        return None
    configurations = comparable(whole.frame, whole.metric)["recipe"].nunique()
    headline = headlines.saving(points, cost.unit, configurations) + _so_far(whole.frame)
    figure = tradeoff_figure(points, whole.metric, whole.shares.main, whole.label, cost, headline)
    return _Drawing(f"Loss against {cost.unit}", headline, figure)


def _seeds(whole: _Round) -> _Drawing | None:
    table = whole.replicated
    if (table["n"] > 1).sum() < 2:
        return None
    several = table[(table["n"] > 1) | (table.index == 0)]
    headline = seed_sentences.separation(table, brief=True) + _so_far(whole.frame)
    settings = sorted(factors(whole.frame), key=lambda name: -whole.shares.main.get(name, 0.0))
    figure = seeds_figure(whole.frame, whole.metric, several, settings, whole.label, headline, RULE)
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
