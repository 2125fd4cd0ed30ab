"""The pictures of a round, each under a finding computed from the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from rnnlab.analysis.levels import is_continuous
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.curves import curves_figure
from rnnlab.analysis.plots.forest import forest_figure
from rnnlab.analysis.plots.heatmap import heatmap_figure
from rnnlab.analysis.plots.interactions import interactions_figure
from rnnlab.analysis.plots.parallel import MOST_SETTINGS, parallel_figure
from rnnlab.analysis.plots.ranks import rank_figure
from rnnlab.analysis.plots.seeds import seeds_figure
from rnnlab.analysis.plots.swarm import swarm_figure
from rnnlab.analysis.plots.tradeoff import Cost, tradeoff_figure
from rnnlab.analysis.statistics.cost_points import CostPoints
from rnnlab.analysis.statistics.curve_lines import Line, lines_of
from rnnlab.analysis.statistics.heatmap_cells import choose, heatmap_cells
from rnnlab.analysis.statistics.panels import panels_of
from rnnlab.analysis.statistics.round_statistics import RoundStatistics
from rnnlab.analysis.words import headlines, seed_sentences, sentences
from rnnlab.analysis.words.markdown import where_text
from rnnlab.analysis.words.names import curve_series, metric_label, symbol
from rnnlab.queue.job import Curve

_FEWEST_POINTS = 3  # below the threshold, or with different costs, for a picture of them
_FEWEST_PAIRS = 2  # of an effect, for a picture of effects
_FEWEST_LINES = 5  # runs or configurations, for a picture of each on its own
_LEAST_SHARE = 0.05  # of the variance, for a picture of shares
_LEAST_FILLED = 2 / 3  # of the cells of a grid
_PARAMETERS = Cost("trainable parameters", "parameters")
_SECONDS = Cost(
    "seconds in training",
    "seconds",
    "Runs trained together as one cohort share its time equally: their seconds also depend on how the scheduler "
    "grouped them, not only on the run itself.",
)
_CURVE = "ema_loss"  # the series to draw if the metric is not read from a curve


@dataclass(frozen=True)
class Picture:
    """One picture, drawn."""

    title: str  # what the picture shows
    caption: str  # its finding, which is also the headline inside the picture
    png: bytes
    svg: str  # one <svg> element, a file or a part of a page


@dataclass(frozen=True)
class _Drawing:
    """One picture before it is encoded."""

    title: str
    caption: str
    figure: Figure


def round_pictures(statistics: RoundStatistics, curves: Mapping[int, Curve]) -> dict[str, Picture]:
    """Pictures by the ending of their file; pictures that would show nothing (yet) are left out.

    curves: all training curves; sorted losses if no job has one. factors: one panel per setting. factors-below: the
    same for the runs below the threshold, or words if they are fewer than three. effects: paired differences.
    interactions: shares of the variance. parallel: parallel coordinates. grid: two numeric settings against each other.
    parameters, seconds: loss against cost. seeds: configurations that ran with several seeds.
    """
    return {name: _picture(name, drawing) for name, drawing in _drawings(statistics, curves).items()}


def _picture(name: str, drawing: _Drawing) -> Picture:
    return Picture(drawing.title, f"{drawing.caption}.", *style.png_and_svg(drawing.figure, name))


def _drawings(statistics: RoundStatistics, curves: Mapping[int, Curve]) -> dict[str, _Drawing]:
    lines = lines_of(curves, statistics.runs.frame["id"].tolist(), curve_series(statistics.metric) or _CURVE)
    found: dict[str, _Drawing | None] = {"curves": _curves(statistics, lines) if lines else None}
    if len(statistics.runs.comparable):
        found["curves"] = found["curves"] or _ranks(statistics)
        found["factors"] = _factors(statistics)
        found["factors-below"] = _below(statistics)
        found["effects"] = _effects(statistics)
        found["interactions"] = _interactions(statistics)
        found["parallel"] = _parallel(statistics)
        found["grid"] = _grid(statistics)
        found["parameters"] = _tradeoff(statistics, statistics.parameter_points, _PARAMETERS)
        found["seconds"] = _tradeoff(statistics, statistics.time_points, _SECONDS)
        found["seeds"] = _seeds(statistics)
    return {name: drawing for name, drawing in found.items() if drawing is not None}


def _label(statistics: RoundStatistics) -> str:
    """Of the axis of the metric."""
    return metric_label(statistics.metric, statistics.runs.all.tokenizer_kind)


def _curves(statistics: RoundStatistics, lines: Sequence[Line]) -> _Drawing:
    series = curve_series(statistics.metric)
    label = f"EMA of training loss (nats per {symbol(statistics.runs.all.tokenizer_kind)})"
    threshold = statistics.question.threshold if series else None  # a validation loss has another axis
    headline = headlines.best_of_all(statistics)
    figure = curves_figure(statistics.runs, lines, statistics.variance.main, label, headline, threshold)
    return _Drawing("Training curves", headline, figure)


def _ranks(statistics: RoundStatistics) -> _Drawing:
    headline = f"{headlines.best_of_all(statistics)}; no training curves were recorded or imported"
    threshold, shares = statistics.question.threshold, statistics.variance.main
    figure = rank_figure(statistics.runs, shares, _label(statistics), headline, threshold)
    return _Drawing("Sorted losses", headline, figure)


def _factors(statistics: RoundStatistics) -> _Drawing:
    headline = headlines.strongest(statistics) + headlines.so_far(statistics.summary)
    panels = panels_of(statistics.runs, effects=statistics.effects)
    figure = swarm_figure(panels, _label(statistics), headline, statistics.question.threshold)
    return _Drawing("Every run by setting", headline, figure)


def _below(statistics: RoundStatistics) -> _Drawing | None:
    runs, question, summary = statistics.runs, statistics.question, statistics.summary
    if question.threshold is None or summary.below == summary.comparable:
        return None  # the picture of all runs shows them
    heading = "Runs below the threshold by setting"
    finding = sentences.below(summary, question.threshold, question.threshold_meaning) + headlines.so_far(summary)
    if (summary.below or 0) < _FEWEST_POINTS:
        best = runs.best_first.frame.head(summary.below or 1).to_dict("records")
        names = "; ".join(sentences.named_run(run, runs.metric, runs.all.factors) for run in best)
        which = "The best run" if not summary.below else "This run" if summary.below == 1 else "These runs"
        text = f"Too few for a picture of their settings. {which}: {names}."
        return _Drawing(heading, finding, style.words_figure(finding, text))
    headline = sentences.joined([finding, sentences.sharpest_share(statistics.below_threshold)])
    panels = panels_of(runs, below=question.threshold)
    return _Drawing(heading, headline, swarm_figure(panels, _label(statistics), headline))


def _effects(statistics: RoundStatistics) -> _Drawing | None:
    effects, focus = statistics.effects, statistics.question.focus
    if effects.most_pairs < _FEWEST_PAIRS:
        return None
    groups = {"all runs": effects}
    focused = statistics.focused_effects if focus else None
    if focused is not None and len(focused):
        groups[where_text(focus)] = focused
    headline = headlines.effects(effects, focused, focus) + headlines.so_far(statistics.summary)
    figure = forest_figure(groups, f"difference of {_label(statistics)}", headline)
    return _Drawing("What each setting does, all others equal", headline, figure)


def _interactions(statistics: RoundStatistics) -> _Drawing | None:
    shares = statistics.variance
    if not shares.interactions or shares.largest < _LEAST_SHARE:
        return None
    headline = headlines.interactions(shares) + headlines.so_far(statistics.summary)
    figure = interactions_figure(shares, headline)
    return _Drawing("What settings explain, alone and in pairs", headline, figure)


def _parallel(statistics: RoundStatistics) -> _Drawing | None:
    # The setting that explains most is next to the metric; numbers with too many values for a share are farthest.
    rows, known = statistics.runs.all, list(statistics.variance.main)
    unknown = [name for name in rows.factors if name not in known and is_continuous(rows.levels(name))]
    settings = [*known, *unknown][:MOST_SETTINGS][::-1]
    if len(settings) < 2 or len(statistics.runs.comparable) < _FEWEST_LINES:
        return None
    headline = headlines.of_the_best(statistics.best_tenth) + headlines.so_far(statistics.summary)
    figure = parallel_figure(statistics.runs, settings, _label(statistics), headline)
    return _Drawing("Every run through all settings", headline, figure)


def _grid(statistics: RoundStatistics) -> _Drawing | None:
    choice = choose(statistics.runs, statistics.variance.main)
    if choice is None:
        return None
    cells = heatmap_cells(statistics.runs, choice)
    if cells.filled < _LEAST_FILLED:
        return None
    headline = headlines.lowest_cell(cells) + headlines.so_far(statistics.summary)
    figure = heatmap_figure(cells, _label(statistics), headline)
    return _Drawing("Two numeric settings against each other", headline, figure)


def _tradeoff(statistics: RoundStatistics, points: CostPoints, cost: Cost) -> _Drawing | None:
    if len(points) < _FEWEST_LINES or points.table["cost"].nunique() < _FEWEST_POINTS:
        return None
    headline = headlines.saving(points, cost.unit) + headlines.so_far(statistics.summary)
    shares = statistics.variance.main
    figure = tradeoff_figure(points, statistics.metric, shares, _label(statistics), cost, headline)
    return _Drawing(f"Loss against {cost.unit}", headline, figure)


def _seeds(statistics: RoundStatistics) -> _Drawing | None:
    replicated = statistics.replicates
    if replicated.repeated < 2:
        return None
    headline = seed_sentences.separation(replicated, brief=True) + headlines.so_far(statistics.summary)
    settings = sorted(statistics.runs.all.factors, key=lambda name: -statistics.variance.main.get(name, 0.0))
    figure = seeds_figure(replicated.several, settings, _label(statistics), headline, seed_sentences.RULE)
    return _Drawing("Seeds of each configuration", headline, figure)
