"""Every picture, drawn: nothing outside its axes, nothing over its neighbour, no warning (warnings are errors here)."""

import base64
import io
import re
from collections.abc import Mapping
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.curves import curves_figure
from rnnlab.analysis.plots.parallel import parallel_figure
from rnnlab.analysis.plots.pictures import round_pictures
from rnnlab.analysis.plots.ranks import rank_figure
from rnnlab.analysis.results_frame import results_frame
from rnnlab.analysis.statistics.curve_lines import lines_of
from rnnlab.queue.job import Curve
from tests.support.legibility import check_texts, plain
from tests.support.made_up_rounds import made_up_round, random_search
from tests.support.published_runs import make_job
from tests.support.round_statistics import runs_of, statistics_of

LABEL = "lowest EMA of training loss (nats per byte)"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that `round_pictures` makes, in order, as long as the test runs."""
    figures: list[Figure] = []

    def keep(figure: Figure, name: str) -> tuple[bytes, str]:
        figures.append(figure)
        return b"", ""

    monkeypatch.setattr(style, "png_and_svg", keep)
    return figures


def shares_of(frame: pd.DataFrame) -> Mapping[str, float]:
    """Shares of the variance, as the pictures of a round get them."""
    return statistics_of(frame).variance.main


def test_many_numbers_are_an_axis_of_parallel_coordinates_too(drawn: list[Figure]) -> None:
    round_pictures(statistics_of(results_frame(random_search(300))), {})
    (parallel,) = [figure for figure in drawn if "A line is a run" in plain(figure.get_supxlabel())]
    assert "learning rate" in [label.get_text() for label in parallel.axes[0].get_xticklabels()]
    for figure in drawn:
        check_texts(figure)


def test_curves_stay_inside_and_are_all_there() -> None:
    made = made_up_round(60, diverged=3, points=200)
    frame = results_frame(made.jobs)
    lines = lines_of(made.curves, frame["id"].tolist(), "ema_loss")
    figure = curves_figure(runs_of(frame), lines, shares_of(frame), LABEL, "A finding", 1.8)
    (ax,) = figure.axes
    (bundle,) = [child for child in ax.collections if isinstance(child, LineCollection)]
    assert len(bundle.get_segments()) == 60
    assert ax.get_xscale() == "log"
    assert ax.get_ylim()[1] < 10  # the diverged ones reach thousands
    left, right = ax.get_xlim()
    bottom, top = ax.get_ylim()
    ends = np.concatenate(bundle.get_segments())
    assert left <= ends[:, 0].min() and ends[:, 0].max() <= right
    assert bottom < ends[:, 1].min()
    arrows = [child for child in ax.collections if child.get_gid() == "leaving"]
    assert len(np.asarray(arrows[0].get_offsets())) == 3
    assert (np.asarray(arrows[0].get_offsets())[:, 1] < top).all()
    assert "▲ 3 curves" in plain(figure.get_supxlabel())
    check_texts(figure)


def test_curves_of_a_round_under_way_and_of_a_single_run() -> None:
    made = made_up_round(20, unfinished=20, points=50)
    frame = results_frame(made.jobs)
    lines = lines_of(made.curves, frame["id"].tolist(), "ema_loss")
    check_texts(curves_figure(runs_of(frame), lines, shares_of(frame), LABEL, "A finding", 1.8))
    made = made_up_round(1, points=2)
    lines = lines_of(made.curves, [1], "ema_loss")
    check_texts(curves_figure(runs_of(results_frame(made.jobs)), lines, {}, LABEL, "A finding"))


@pytest.mark.parametrize(("metric", "expected"), [("min_loss", 1.0), ("final_loss", 1.5), ("validation_loss", None)])
def test_the_star_is_where_the_curve_has_the_value_of_the_metric(metric: str, expected: float | None) -> None:
    result = {"min_loss": 1.0, "final_loss": 1.5, "validation_loss": 1.8275}
    frame = results_frame([make_job(1, {"cell": "gru"}, result)])
    lines = lines_of({1: Curve([1, 2, 3, 4], {"ema_loss": [1.5, 1.2, 1.0, 1.5]})}, [1], "ema_loss")
    figure = curves_figure(runs_of(frame, metric), lines, {}, LABEL, "A finding")
    (ax,) = figure.axes
    stars = [np.asarray(child.get_offsets()).tolist() for child in ax.collections if child.get_gid() == "star"]
    assert stars == {1.0: [[[3, 1.0]]], 1.5: [[[4, 1.5]]], None: []}[expected]
    legend = ax.get_legend()
    assert legend is not None
    entry = "best run" if expected else "best run by validation loss: 1.8275"
    assert entry in [text.get_text() for text in legend.get_texts()]
    assert any("★" in text.get_text() for text in ax.texts) == bool(expected)
    check_texts(figure)


@pytest.mark.parametrize("name", ["explore", "refine", "replicate"])
def test_sorted_losses_stand_in_for_curves(name: str, request: pytest.FixtureRequest) -> None:
    frame = request.getfixturevalue(name)
    figure = rank_figure(runs_of(frame), shares_of(frame), LABEL, "A finding", 1.9)
    (ax,) = figure.axes
    drawn = [np.asarray(child.get_offsets()) for child in ax.collections if child.get_gid() in ("runs", "above")]
    points = np.concatenate(drawn)
    assert sorted(points[:, 0]) == list(range(1, len(frame) + 1))
    assert (np.diff(drawn[0][:, 1]) >= 0).all()
    bottom, top = ax.get_ylim()
    assert ((points[:, 1] > bottom) & (points[:, 1] < top)).all()
    check_texts(figure)


def test_pictures_of_a_round_say_what_was_found(explore: pd.DataFrame) -> None:
    pictures = round_pictures(statistics_of(explore, threshold=1.9), {})
    assert list(pictures) == [
        *("curves", "factors", "factors-below", "effects", "interactions", "parallel", "grid", "parameters", "seconds")
    ]
    for picture in pictures.values():
        image = Image.open(io.BytesIO(picture.png))
        assert image.width == 7.5 * style.DOTS_PER_INCH
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        root = ElementTree.fromstring(picture.svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(root.attrib["width"].removesuffix("pt")) == 7.5 * 72
        assert "<text" in picture.svg  # letters, not their outlines: a page can be searched
        assert len(picture.svg) < 320_000
        assert picture.title and picture.caption.endswith(".")


@pytest.mark.parametrize("n", [10, 10_000])
def test_every_picture_can_be_read_at_any_size(n: int, drawn: list[Figure]) -> None:
    made = made_up_round(n, points=20)
    frame = results_frame(made.jobs)
    size = frame["state_size"].astype(float)
    frame = frame.assign(parameters=size**2 * frame["n_layers"], seconds=size + np.arange(n) % 7)
    pictures = round_pictures(statistics_of(frame, threshold=1.8, focus={"cell": "rnn"}), made.curves)
    assert {"effects", "parallel", "grid", "parameters", "seconds"} <= set(pictures)
    several = {"interactions", "seeds"}  # too few configurations
    assert several & set(pictures) == (several if n > 10 else set())
    for figure in drawn:
        check_texts(figure)


def test_a_picture_with_nothing_to_say_is_left_out(drawn: list[Figure]) -> None:
    one = results_frame([make_job(1, {"cell": "gru", "state_size": 8}, {"min_loss": 1.0, "final_loss": 1.0})])
    assert list(round_pictures(statistics_of(one), {})) == ["curves", "factors"]
    seeds = results_frame([make_job(i, {"cell": "gru"}, {"min_loss": 1.0 + i}, seed=i) for i in range(1, 9)])
    assert list(round_pictures(statistics_of(seeds), {})) == ["curves", "factors"]
    one_setting = [
        make_job(i, {"cell": "gru", "state_size": i}, {"min_loss": 1.0 + i}, seconds=0.0) for i in range(1, 9)
    ]
    pictures = round_pictures(statistics_of(results_frame(one_setting)), {})
    assert list(pictures) == ["curves", "factors"]  # one pair an effect, one setting: nothing to set against another


def test_a_picture_with_nothing_new_is_left_out() -> None:
    made = results_frame(made_up_round(60).jobs)
    assert "factors-below" in round_pictures(statistics_of(made, threshold=1.8), {})
    assert "factors-below" not in round_pictures(statistics_of(made, threshold=9.0), {})
    sizes = [(depth, width) for depth in range(1, 5) for width in range(1, 5)]
    for cells, shown in ((sizes[:11], True), ([*sizes[:8], sizes[8], sizes[12]], False)):
        jobs = [
            make_job(i, {"depth": depth, "width": width}, {"min_loss": depth + width / 10}, seed=i)
            for i, (depth, width) in enumerate(cells * 2)
        ]
        assert ("grid" in round_pictures(statistics_of(results_frame(jobs)), {})) == shown


def test_seconds_are_said_to_be_shared_by_a_cohort(drawn: list[Figure]) -> None:
    frame = results_frame(made_up_round(60).jobs).assign(seconds=np.arange(60) + 1.0)
    assert "seconds" in round_pictures(statistics_of(frame), {})
    assert sum("share its time equally" in plain(figure.get_supxlabel()) for figure in drawn) == 1


def test_levels_are_read_row_after_row() -> None:
    frame = results_frame([make_job(i, {"width": 2 ** (i % 4)}, {"min_loss": 1.0 + i % 4}) for i in range(24)])
    figure = rank_figure(runs_of(frame), {"width": 1.0}, LABEL, "A finding", 2.5)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    figure.draw_without_rendering()
    boxes = [(text.get_window_extent(), text.get_text()) for text in legend.get_texts()]
    rows = sorted(boxes, key=lambda pair: (-round(pair[0].y0), pair[0].x0))
    assert [text.split(" (")[0] for _, text in rows][:4] == ["width 1", "width 2", "width 4", "width 8"]


def test_axes_of_effects_have_a_unit(drawn: list[Figure], explore: pd.DataFrame) -> None:
    round_pictures(statistics_of(explore), {})
    labels = [ax.get_xlabel() for figure in drawn for ax in figure.axes]
    assert "difference of lowest EMA of training loss (nats per byte)" in labels


def test_scales_of_colors_keep_their_steps(explore: pd.DataFrame) -> None:
    figure = parallel_figure(runs_of(explore), ["state_size", "n_layers"], LABEL, "A finding")
    png, svg = style.png_and_svg(figure, "parallel")
    (ax,) = figure.axes
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    figure.set_dpi(style.DOTS_PER_INCH)
    left, right = ax.transData.transform([(2.0, 0.5), (2.12, 0.5)])[:, 0]
    strip = pixels[:, int((left + right) / 2)]
    image = re.findall(r'data:image/png;base64,([^"]*)', svg)[-1]
    inside = np.asarray(Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB"))
    drawn = ax.images[0].get_array()
    assert drawn is not None
    steps = len(np.unique(np.round(255 * np.asarray(drawn))))
    assert len(np.unique(inside.reshape(-1, 3), axis=0)) >= 0.9 * steps > 100
    assert len(np.unique(strip, axis=0)) > steps / 2


def test_equal_data_give_equal_bytes() -> None:
    made = made_up_round(10, points=20)
    first, second = (round_pictures(statistics_of(results_frame(made.jobs)), made.curves) for _ in range(2))
    assert first == second


def test_a_picture_is_the_same_in_both_formats() -> None:
    png, svg = style.png_and_svg(style.words_figure("A finding", "Its reason."), "words")
    width, height = Image.open(io.BytesIO(png)).size
    box = ElementTree.fromstring(svg).attrib["viewBox"].split()
    assert float(box[3]) / float(box[2]) == pytest.approx(height / width, abs=0.01)


def test_fewer_than_three_runs_below_the_threshold_are_told_in_words(drawn: list[Figure]) -> None:
    frame = results_frame(made_up_round(10).jobs)
    threshold = frame["min_loss"].nsmallest(3).iloc[-1]  # two are below it
    round_pictures(statistics_of(frame, threshold=float(threshold)), {})
    below = drawn[2]
    assert not below.axes
    assert plain(below.get_suptitle()).startswith("2 of 10 runs are below")
    assert "Too few for a picture" in plain(below.get_supxlabel())
    check_texts(below)


def test_a_round_without_curves_says_so_and_one_under_way_too(drawn: list[Figure]) -> None:
    frame = results_frame(made_up_round(20, unfinished=5).jobs)
    round_pictures(statistics_of(frame), {})
    assert len(drawn[0].axes) == 1
    assert "no training curves were recorded or imported" in plain(drawn[0].get_suptitle())
    assert all("15 of 20 jobs finished" in plain(figure.get_suptitle()) for figure in drawn)


def test_nothing_to_draw_yet() -> None:
    assert round_pictures(statistics_of(results_frame(made_up_round(3, unfinished=3).jobs), threshold=1.0), {}) == {}


def test_a_threshold_of_another_metric_is_not_drawn_among_the_curves(drawn: list[Figure]) -> None:
    made = made_up_round(10, points=20)
    frame = results_frame(made.jobs).assign(validation_loss=lambda table: table["min_loss"] + 0.1)
    of_curves = []
    for metric in ("min_loss", "validation_loss"):
        drawn.clear()
        round_pictures(statistics_of(frame, metric, threshold=1.8), made.curves)
        of_curves.append(drawn[0].axes[0].get_legend())
    entries = ["\n".join(text.get_text() for text in legend.get_texts()) for legend in of_curves if legend]
    assert ["threshold 1.8" in entry for entry in entries] == [True, False]
