"""The page as a file: complete, self-contained, reproducible, and without markup from other texts."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from rnnlab.analysis.html.inline_svg import inlined
from rnnlab.analysis.html.origin import origin
from rnnlab.analysis.html.runs_table import runs_data
from rnnlab.analysis.plots import style
from rnnlab.analysis.plots.swarm import swarm_figure
from rnnlab.analysis.results_frame import results_frame, setting_columns
from rnnlab.analysis.statistics.panels import panels_of
from rnnlab.queue.job import Status
from tests.support.made_up_page import EVIL, EVIL_SETTING, PICTURE_FROM_ELSEWHERE, MadeUpPage, made_up_page
from tests.support.made_up_rounds import made_up_round
from tests.support.published_runs import make_job
from tests.support.round_statistics import runs_of

VOID = {"meta", "link", "input", "br", "hr", "img"}


class Reader(HTMLParser):
    """Elements, their attributes, and the text outside of scripts and style sheets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text += data

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute, wherever it stands."""
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]


@pytest.fixture(scope="module")
def read(page: MadeUpPage) -> Reader:
    return Reader(page.html)


def test_every_element_is_closed_and_every_id_is_unique(read: Reader) -> None:
    assert read.open == []
    ids = read.values("id")
    assert len(ids) == len(set(ids)) > 20


def test_what_the_page_refers_to_is_in_it_or_beside_it(read: Reader, page: MadeUpPage) -> None:
    ids = set(read.values("id"))
    references = {value[1:] for value in read.values("href") if value.startswith("#")}
    references |= {name for value in read.values("clip-path") for name in re.findall(r"url\(#(.+)\)", value)}
    references |= {name for attribute in ("aria-labelledby", "for") for name in read.values(attribute)}
    assert len(references) > 20
    assert references <= ids
    files = [value for value in read.values("href") if not value.startswith(("#", "data:"))]
    assert sorted(files) == sorted(path.name for path in page.folder.iterdir() if path.suffix in (".csv", ".json"))


def test_nothing_is_loaded_from_elsewhere(read: Reader) -> None:
    assert read.values("src") == []
    attributes = [pair for _, attributes in read.elements for pair in attributes.items() if pair[0] != "aria-label"]
    outside = [pair for pair in attributes if "//" in pair[1] and not pair[1].startswith("data:image/png;base64,")]
    assert outside == []
    assert "@import" not in "".join(read.scripts)


def test_the_text_of_others_is_text(read: Reader) -> None:
    assert not {"b", "img", "iframe"} & {tag for tag, _ in read.elements}
    assert [tag for tag, _ in read.elements].count("script") == 2
    assert not any(name.startswith("on") for _, attributes in read.elements for name in attributes)
    assert f"Is it {EVIL}?" in read.text
    assert f"The {EVIL}\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} α & 'all' \"that\"\n  is." in read.text
    columns = json.loads(read.scripts[0])["columns"]
    (evil,) = [column for column in columns if column["key"] == EVIL_SETTING]
    assert sorted(evil["levels"]) == sorted([EVIL, PICTURE_FROM_ELSEWHERE])


def test_equal_data_give_equal_bytes(page: MadeUpPage, tmp_path: Path) -> None:
    assert made_up_page(tmp_path).html == page.html


def test_the_sections_are_those_of_the_markdown_report(read: Reader, page: MadeUpPage) -> None:
    markdown = (page.folder / "report.md").read_text()
    headings = re.findall(r"^##+ (.+)$", markdown, flags=re.MULTILINE)
    tags = [tag for tag, _ in read.elements]
    assert all(heading in read.text for heading in headings)
    assert tags.count("h3") == sum(line.startswith("### ") for line in markdown.splitlines())
    assert tags.count("table") == len(re.findall(r"^\|[-:| ]+\|$", markdown, flags=re.MULTILINE)) + 1
    assert tags.count("svg") == tags.count("figure") == len(re.findall(r"^!\[", markdown, flags=re.MULTILINE))


# The runs


def decoded(column: dict[str, Any]) -> list[Any]:
    if column["kind"] != "text":
        return list(column["values"])
    levels = [*column["levels"], None]
    return [levels[at] for at in column["at"]]


def test_the_table_holds_every_run_with_every_setting_and_number(page: MadeUpPage) -> None:
    frame = page.frame
    data = json.loads(json.dumps(runs_data(runs_of(frame)), allow_nan=False))
    columns = {column["key"]: decoded(column) for column in data["columns"]}
    assert columns["job"] == frame["id"].tolist()
    varying = [name for name in setting_columns(frame) if name in columns]
    assert len(varying) + len(data["shared"]) == len(setting_columns(frame))
    for name in varying:
        assert columns[name] == [None if pd.isna(value) else value for value in frame[name]]
    for name in ("min_loss", "final_loss", "seconds"):
        assert np.allclose(np.array(columns[name], dtype=float), frame[name], rtol=1e-5, equal_nan=True)
    assert [status == "diverged" for status in columns["status"]] == frame["diverged"].tolist()
    good = frame[(frame["status"] == "done") & ~frame["diverged"]]
    expected = good.groupby("round")["min_loss"].rank().reindex(frame.index)
    assert columns["rank"] == [None if pd.isna(place) else place for place in expected]


def test_ten_thousand_runs_stay_small() -> None:
    frame = results_frame(made_up_round(10_000).jobs)
    assert len(json.dumps(runs_data(runs_of(frame)), separators=(",", ":"))) < 1_000_000


# The pictures


def svg(figure: Figure) -> str:
    return style.png_and_svg(figure, "swarm")[1]


def swarm(n: int) -> Figure:
    return swarm_figure(panels_of(runs_of(results_frame(made_up_round(n).jobs))), "loss", "A finding", 1.8)


def test_a_picture_keeps_its_words_and_its_points() -> None:
    figure = swarm(60)
    document = Reader(inlined(svg(figure), "p-", 'what "it" says'))
    words = {ax.get_title() for ax in figure.axes} | {"A finding", "loss"}
    words |= {line for ax in figure.axes for label in ax.get_xticklabels() for line in label.get_text().split("\n")}
    assert [word for word in words if word not in document.text] == []
    marks = [attributes["style"] for tag, attributes in document.elements if tag == "use"]
    assert sum("stroke" not in mark for mark in marks) == 60 * len(figure.axes)  # ticks and stars have an edge
    assert document.elements[0] == ("svg", {**document.elements[0][1], "aria-label": 'what "it" says'})


def test_thousands_of_points_become_an_image() -> None:
    few, many = svg(swarm(60)), svg(swarm(5_000))
    assert "<image" not in few
    assert "<image" in many
    assert len(many) < 600_000
    assert "A finding" in many


def test_equal_figures_give_equal_text_and_the_png_stays_the_same() -> None:
    figure = swarm(60)
    before = style.png(figure)
    assert svg(figure) == svg(swarm(60))
    assert style.png(figure) == before


def test_no_picture_speaks_of_light_and_dark(page: MadeUpPage) -> None:
    """They change places at night."""
    drawn = " ".join(re.findall(r"<text[^>]*>([^<]*)", page.html))
    assert "A point is a run" in drawn
    assert not re.findall(r"\b(?:dark|light|black|white|grey|pale)\w*\b", drawn)


# Where the numbers come from


def test_origin_of_trained_and_imported_jobs() -> None:
    result = {"min_loss": 1.0, "rnnlab_version": "0.1.0", "git_commit": "ab" * 20, "git_dirty": True}
    result |= {"torch_version": "2.13.0", "device": "cuda:0", "host": "secret"}
    jobs = [
        make_job(1, {"n_layers": 1}, result, seed=3, seconds=3600.0),
        make_job(2, {"n_layers": 2}, {**result, "device": "cpu", "git_dirty": False}, seed=0, seconds=1800.0),
        make_job(3, {"n_layers": 3}, None, status=Status.FAILED, seconds=0.0),
    ]
    lines = dict(origin(jobs))
    assert lines["Jobs"] == "2 done, 1 failed"
    assert lines["Corpus"] == f"enwik8 (SHA-256 {'0' * 64})"
    assert lines["Seeds"] == "0, 3"
    assert lines["Training"].startswith("1.50 h")
    assert lines["Device"] == "cpu, cuda:0"
    assert lines["rnnlab"] == "0.1.0 (commit abababababab with uncommitted changes), 0.1.0 (commit abababababab)"
    assert "secret" not in str(lines)
    assert "Trained" not in lines  # unknown for these jobs
