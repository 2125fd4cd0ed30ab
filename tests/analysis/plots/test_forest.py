"""The picture of paired effects: what is drawn is what the table says."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection

from rnnlab.analysis.plots.forest import forest_figure
from rnnlab.analysis.statistics.effects import Effects
from rnnlab.analysis.words import headlines
from tests.support.legibility import check_texts, plain
from tests.support.round_statistics import statistics_of

FOCUS = {"state_size": 256, "use_new_state": True, "use_residual": True}


def means(ax: Axes) -> list[float]:
    """The dots of a panel, from the top row down."""
    (dots,) = [child for child in ax.collections if isinstance(child, PathCollection) and child.get_gid() == "mean"]
    return [float(x) for x in np.asarray(dots.get_offsets())[:, 0]]


def bars(ax: Axes, name: str) -> list[list[float]]:
    """The ends of the bars of a panel."""
    (found,) = [child for child in ax.collections if isinstance(child, LineCollection) and child.get_gid() == name]
    return [segment.reshape(-1, 2)[:, 0].tolist() for segment in found.get_segments()]


def test_rows_are_the_effects_largest_first(explore: pd.DataFrame) -> None:
    effects = statistics_of(explore).effects.table
    figure = forest_figure({"all runs": Effects(effects)}, "difference", "A finding")
    (ax,) = [ax for ax in figure.axes if ax.get_xlabel()]
    ordered = effects.iloc[effects["mean"].abs().argsort()[::-1]]
    assert means(ax) == pytest.approx(ordered["mean"].tolist())
    assert np.array(bars(ax, "interval")) == pytest.approx(ordered[["low", "high"]].to_numpy())
    assert np.array(bars(ax, "quartiles")) == pytest.approx(ordered[["q25", "q75"]].to_numpy())
    assert [label.get_text() for label in ax.get_yticklabels()][:2] == ["S = 256 against 32", "new state"]
    assert "An arrow" not in plain(figure.get_supxlabel())
    written = [text.get_text().split("   ") for text in ax.texts]
    assert [float(mean) for mean, _ in written] == pytest.approx(ordered["mean"].tolist(), abs=5e-4)
    counts = [f"{row.better} of {row.pairs}" for row in ordered.itertuples()]
    assert [count for _, count in written] == counts


def test_focused_runs_stand_beside_the_same_rows(explore: pd.DataFrame) -> None:
    found = statistics_of(explore, focus=FOCUS)
    effects, focused = found.effects, found.focused_effects
    figure = forest_figure({"all runs": effects, "focus": focused}, "difference", "A finding")
    everything, beside = [ax for ax in figure.axes if ax.get_xlabel()]
    assert len(means(everything)) == len(effects) == 10
    assert sorted(means(beside)) == pytest.approx(sorted(focused.table["mean"]))
    rows = [text.get_position()[1] for text in beside.texts]
    labels = [label.get_text() for label in everything.get_yticklabels()]
    at_forget = beside.texts[rows.index(labels.index("forget gate"))].get_text()
    assert at_forget == "-0.074   47 of 48"
    check_texts(figure)


def test_few_pairs_have_no_interval_and_many_effects_are_cut() -> None:
    rows = [
        {"factor": "rate", "reference": 0, "level": i, "pairs": 3, "better": 3, "worse": 0, "mean": -i / 100}
        | {"low": np.nan, "high": np.nan, "q25": -i / 90, "q75": -i / 110}
        for i in range(1, 61)
    ]
    figure = forest_figure({"all runs": Effects(pd.DataFrame(rows))}, "difference", "A finding")
    (ax,) = [ax for ax in figure.axes if ax.get_xlabel()]
    assert means(ax) == pytest.approx([-i / 100 for i in range(60, 36, -1)])
    assert not any(len(bar) for bar in bars(ax, "interval"))
    assert "The 36 smallest of 60 effects are left out." in plain(figure.get_supxlabel())
    check_texts(figure)


def test_one_wild_effect_does_not_squeeze_the_others(explore: pd.DataFrame) -> None:
    effects = statistics_of(explore).effects.table
    effects.loc[0, ["mean", "low", "high", "q25", "q75"]] = [500.0, 400.0, 600.0, 450.0, 550.0]
    figure = forest_figure({"all runs": Effects(effects)}, "difference", "A finding")
    (ax,) = [ax for ax in figure.axes if ax.get_xlabel()]
    assert ax.get_xlim()[1] < 1
    assert "+500.000" in ax.texts[0].get_text()
    (arrow,) = [child for child in ax.collections if child.get_gid() == "right"]
    assert np.asarray(arrow.get_offsets()) == pytest.approx(np.array([[ax.get_xlim()[1], 0]]))
    assert means(ax) == pytest.approx(effects["mean"].drop(0).sort_values(key=abs, ascending=False).tolist())
    assert "An arrow: the mean lies beyond the edge." in plain(figure.get_supxlabel())
    check_texts(figure)


def test_the_headline_is_computed(explore: pd.DataFrame) -> None:
    found = statistics_of(explore, focus=FOCUS)
    assert headlines.effects(found.effects, found.focused_effects, FOCUS) == (
        "7 of 10 effects are clear; the strongest: S = 256 instead of 32 lowers the loss by 0.494 (95 %: 0.448 to "
        "0.540; in 144 of 144 pairs); with S = 256, new state, residual: the forget gate lowers it by 0.074 (95 %: "
        "0.065 to 0.084; in 47 of 48 pairs; from 0.049 at output gate off to 0.100 at output gate on)"
    )
    worse = explore.assign(min_loss=-explore["min_loss"])
    turned = headlines.effects(statistics_of(worse).effects)
    assert "the strongest: L = 3 instead of 1 lowers the loss by 0.489 at residual off (in 48 of 48 pairs)" in turned
