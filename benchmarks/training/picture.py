"""The picture of the sweep: speed as a multiple of the plain loop's, one panel for each axis and regime."""

import statistics
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, StrMethodFormatter

from benchmarks.training.alternation import FLOOR, PLAIN, RNNLAB, CaseResult
from benchmarks.training.cases import AXES, Point
from rnnlab.analysis.plots import style

_TITLES = {"M": "models", "S": "state size", "L": "layers", "B": "batch size"}
_HEIGHT = 4.8  # inches

Result = tuple[Point, CaseResult]


def scaling_figure(results: Sequence[Result], note: str) -> Figure:
    """Rows are regimes, columns are axes, and lines are contenders."""
    regimes = list(dict.fromkeys(point.regime for point, _ in results))
    names = list(dict.fromkeys(one.name for _, result in results for one in result.measured if one.rates))
    names.remove(PLAIN)
    rivals = [name for name in names if name not in (RNNLAB, FLOOR)]
    chosen = {
        **dict(zip(rivals, style.colors(len(rivals)), strict=True)),
        RNNLAB: style.best_color(),
        FLOOR: style.INK,
    }
    colours = {name: chosen[name] for name in names}
    with style.context():
        figure = style.new_figure(style.WIDTH, _HEIGHT, _title(results), note)
        grid = figure.subplots(len(regimes), len(AXES), sharey=True, sharex="col", squeeze=False)
        for row, regime in zip(grid, regimes, strict=True):
            for ax, axis in zip(row, AXES, strict=True):
                here = [(point, result) for point, result in results if point.regime == regime and axis in point.axes]
                for name, colour in colours.items():
                    _draw(ax, axis, here, name, colour)
                _finish(ax, axis, last=regime == regimes[-1])
            row[0].set_ylabel(f"{regime}: x plain loop")
        drawn = {label: line for ax in grid.flat for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        drawn = {name: drawn[name] for name in names if name in drawn}
        figure.legend(list(drawn.values()), list(drawn), loc="outside right center", frameon=False)
    return figure


def _draw(ax: Axes, axis: str, results: Sequence[Result], name: str, colour: object) -> None:
    found = []
    for point, result in sorted(results, key=lambda pair: pair[0].place[axis]):
        one = result.of(name)
        if one is not None and (ratios := result.ratios(one, PLAIN)):
            found.append((point.place[axis], statistics.median(ratios), min(ratios), max(ratios)))
    if not found:
        return
    values, middles, lows, highs = (list(column) for column in zip(*found, strict=True))
    dashes = "--" if name == FLOOR else "-"
    ax.plot(values, middles, dashes, color=colour, marker="o", markersize=3, linewidth=1.2, label=name)
    ax.fill_between(values, lows, highs, color=colour, alpha=0.15, linewidth=0)


def _finish(ax: Axes, axis: str, *, last: bool) -> None:
    ax.axhline(1, color=style.FAINT, linewidth=0.8, linestyle=":")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set_xticks(AXES[axis])
    for side in (ax.xaxis, ax.yaxis):
        side.set_major_formatter(StrMethodFormatter("{x:g}"))
        side.set_minor_locator(NullLocator())
    if last:
        ax.set_xlabel(_TITLES[axis])


def _title(results: Sequence[Result]) -> str:
    ratios = [
        statistics.median(result.ratios(own, PLAIN))
        for _, result in results
        if (own := result.of(RNNLAB)) is not None and result.of(PLAIN) is not None
    ]
    if not ratios:
        return "Training speed compared with the plain loop"
    return f"rnnlab trains {min(ratios):.1f} to {max(ratios):.1f} times as fast as the plain loop"
