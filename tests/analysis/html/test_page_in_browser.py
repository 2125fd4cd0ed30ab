"""The page as a person uses it: sorted, filtered, read on a phone and at night."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from rnnlab.analysis.html.inline_svg import inlined
from rnnlab.analysis.labels import level_label
from rnnlab.analysis.results_frame import setting_columns
from rnnlab.analysis.runs import Rows
from rnnlab.analysis.words.names import title
from tests.support.browser import open_browser, set_scheme, set_window
from tests.support.made_up_page import EVIL, EVIL_SETTING, MadeUpPage

FIRST_ROWS = 50
READABLE = 7.0  # contrast ratio of text, WCAG 2.2 level AAA
READABLE_IF_NEEDED = 4.5  # level AA


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with open_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def shown(browser: Chrome, page: MadeUpPage) -> Iterator[Chrome]:
    """The page as it is opened, in a wide window; whatever the test does, the browser may not complain."""
    set_window(browser, 1280)
    set_scheme(browser, "light")
    path = page.folder / "report.html"
    path.write_text(page.html)
    browser.get(path.as_uri())
    WebDriverWait(browser, 60).until(lambda b: script(b, "return document.readyState") == "complete")
    yield browser
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0


def browser_box(browser: Chrome, element: WebElement) -> list[float]:
    """Top and bottom of an element in the window, and the height of the window."""
    look = "const box = arguments[0].getBoundingClientRect(); return [box.top, box.bottom, innerHeight]"
    return list(browser.execute_script(look, element))


def script(browser: Chrome, text: str) -> Any:
    return browser.execute_script(text)


def one(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element("css selector", selector)


def jobs_in_view(browser: Chrome) -> list[int]:
    """The jobs of the rows, from the top; the job is the last column."""
    return [
        int(text)
        for text in script(
            browser,
            "return [...document.querySelectorAll('#runs-table tbody tr')].map(row => row.lastChild.textContent)",
        )
    ]


def show_all(browser: Chrome) -> None:
    while one(browser, "#more").is_displayed():
        click(browser, one(browser, "#more"))


def click(browser: Chrome, element: WebElement) -> None:
    script(browser, "document.activeElement.blur()")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def type_filter(browser: Chrome, text: str) -> str:
    """Type into the filter box; what stands beside it then."""
    box = one(browser, "#filter")
    box.clear()
    box.send_keys(text)
    return one(browser, "#count").text


def head(browser: Chrome, key: str) -> WebElement:
    return one(browser, f"#runs-table th button[title='{key}']")


# Sorting


def test_the_best_run_stands_first_and_only_the_first_rows_are_there(shown: Chrome, page: MadeUpPage) -> None:
    good = page.frame[(page.frame["status"] == "done") & ~page.frame["diverged"]]
    assert jobs_in_view(shown)[:20] == good.sort_values(["min_loss", "id"])["id"].tolist()[:20]
    assert len(jobs_in_view(shown)) == FIRST_ROWS < len(page.frame)
    show_all(shown)
    assert sorted(jobs_in_view(shown)) == page.frame["id"].tolist()


@pytest.mark.parametrize("key", ["min_loss", "state_size", "dropout", "use_skip", "round", "cell", "job", EVIL_SETTING])
def test_a_click_on_a_head_sorts_and_another_one_turns_it_round(shown: Chrome, page: MadeUpPage, key: str) -> None:
    show_all(shown)
    click(shown, head(shown, "rank"))
    values = page.frame.set_index("id", drop=False)["id" if key == "job" else key]
    for direction in ("ascending", "descending"):
        click(shown, head(shown, key))
        show_all(shown)
        heads = shown.find_elements("css selector", "#runs-table th[aria-sort]")
        assert [cell.get_attribute("aria-sort") for cell in heads] == [direction]
        order = pd.DataFrame({"id": values.index, "value": values.to_numpy()})
        ascending = [direction == "ascending", True]
        assert jobs_in_view(shown) == order.sort_values(["value", "id"], ascending=ascending)["id"].tolist()


# Filtering


@pytest.mark.parametrize(
    ("typed", "condition"),
    [
        ("n_layers=2", "n_layers == 2"),
        ("L=2 S=64", "n_layers == 2 and state_size == 64"),
        ("state_size=16,64 dropout<0.25", "state_size in [16, 64] and dropout < 0.25"),
        ("min_loss=1.6..1.8", "min_loss >= 1.6 and min_loss <= 1.8"),
        ("skip=on cell!=gru", "use_skip and cell != 'gru'"),
        ("status=pending", "status == 'pending'"),
        ("diverged", "diverged"),
        ("round=refine min_loss>=1.7", "round == 'refine' and min_loss >= 1.7"),
        ("min_loss=none", "min_loss.isna()"),
        (f'"{EVIL}"', f"`{EVIL_SETTING}` == '{EVIL}'"),
        ("GRU refine", "cell == 'gru' and round == 'refine'"),
        ("n_layers=7", "n_layers == 7"),
        ("schedule=1@1e-3,1@1e-4", "schedule == '1@1e-3,1@1e-4'"),
        ("schedule!=1@1e-3,1@1e-4", "schedule != '1@1e-3,1@1e-4'"),
        ("schedule=1@1e-4,1@1e-3", "schedule in ['1@1e-4', '1@1e-3']"),
    ],
)
def test_the_filter_finds_what_pandas_finds(shown: Chrome, page: MadeUpPage, typed: str, condition: str) -> None:
    if EVIL_SETTING in condition:
        expected = page.frame[page.frame[EVIL_SETTING] == EVIL]
    else:
        expected = page.frame.query(condition)
    assert type_filter(shown, typed) == f"{len(expected)} of {len(page.frame)} runs"
    show_all(shown)
    assert sorted(jobs_in_view(shown)) == expected["id"].tolist()


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("colour=red", "no column “colour”"),
        ("n_layers=", "n_layers= needs a value"),
        ("use_skip=maybe", "use_skip is on or off"),
        ("cell<3", "cell<3 needs a number"),
        ("se<2", "“se” matches several columns: use_skip, seed, seconds"),
    ],
)
def test_a_wrong_condition_is_named_and_does_not_count(
    shown: Chrome, page: MadeUpPage, typed: str, complaint: str
) -> None:
    assert type_filter(shown, f"n_layers=2 {typed}") == complaint
    assert sorted(jobs_in_view(shown)) == page.frame.query("n_layers == 2")["id"].tolist()


def test_the_examples_and_the_links_of_the_rounds_filter(shown: Chrome, page: MadeUpPage) -> None:
    examples = shown.find_elements("css selector", "#filter-examples button")
    assert len(examples) == 3
    for example in examples:
        click(shown, example)
        assert re.fullmatch(r"[1-9]\d* of 70 runs", one(shown, "#count").text)
    click(shown, one(shown, "a[data-filter='round=refine']"))
    assert jobs_in_view(shown) != []
    assert set(jobs_in_view(shown)) == set(page.frame.loc[page.frame["round"] == "refine", "id"])


# One run


def details(browser: Chrome) -> dict[str, str]:
    """Name and value of everything that is said about the run in view."""
    pairs = (
        "return [...document.querySelectorAll('#detail dt')].map(dt => [dt.textContent, dt.nextSibling.textContent])"
    )
    return dict(script(browser, pairs))


def check_details(browser: Chrome, page: MadeUpPage, job_id: int) -> None:
    row = page.frame.set_index("id").loc[job_id]
    found = details(browser)
    assert one(browser, "#detail h3").text == f"Job {job_id}, round {row['round']}"
    for name in setting_columns(page.frame):
        assert found[title(name)] == level_label(row[name])
    assert found["status"] == ("diverged" if row["diverged"] else row["status"])
    if np.isfinite(row["min_loss"]):
        assert found["min_loss"] == f"{row['min_loss']:.4f}"
    assert row["config_hash"].startswith(found["config hash"])


def test_pointing_at_a_run_shows_its_whole_configuration(shown: Chrome, page: MadeUpPage) -> None:
    rows = shown.find_elements("css selector", "#runs-table tbody tr")
    for place in (0, 7):
        script(shown, "document.querySelector('#runs-box').scrollIntoView()")
        ActionChains(shown).move_to_element(rows[place].find_elements("css selector", "td")[0]).perform()
        check_details(shown, page, jobs_in_view(shown)[place])
    ActionChains(shown).move_to_element(one(shown, "#filter")).perform()
    assert not one(shown, "#detail").is_displayed()


def test_the_keyboard_walks_through_the_runs(shown: Chrome, page: MadeUpPage) -> None:
    jobs = jobs_in_view(shown)
    script(shown, "document.querySelector('#runs-table tbody tr').focus()")
    check_details(shown, page, jobs[0])
    assert one(shown, "#detail").get_attribute("aria-live") == "polite"  # read aloud as the rows are walked
    ActionChains(shown).send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_UP).perform()
    check_details(shown, page, jobs[1])
    ActionChains(shown).send_keys(Keys.ENTER).perform()
    click(shown, one(shown, "h1"))
    check_details(shown, page, jobs[1])  # kept in view
    ActionChains(shown).send_keys(Keys.ESCAPE).perform()
    assert not one(shown, "#detail").is_displayed()


# The runs in the pictures


def point_at(browser: Chrome, job_id: int, aside: int = 0) -> ActionChains:
    """The pointer on a point of the first picture of points, or this many pixels beside its middle."""
    mark = one(browser, f"figure use[data-job='{job_id}']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    return ActionChains(browser).move_to_element_with_offset(mark, aside, 0)


def lit(browser: Chrome) -> set[str]:
    """Jobs whose marks stand out."""
    return set(script(browser, "return [...document.querySelectorAll('.picture .shown')].map(it => it.dataset.job)"))


def test_a_point_of_a_picture_leads_to_its_run(shown: Chrome, page: MadeUpPage) -> None:
    good = page.frame[(page.frame["status"] == "done") & ~page.frame["diverged"] & (page.frame["round"] == "explore")]
    best, worst = (int(good.set_index("id")["min_loss"].agg(which)) for which in ("idxmin", "idxmax"))
    assert type_filter(shown, f"job={best}") == f"1 of {len(page.frame)} runs"
    point_at(shown, best).perform()
    check_details(shown, page, best)
    assert lit(shown) == {str(best)}
    point_at(shown, worst, aside=5).click().perform()
    ActionChains(shown).move_to_element(one(shown, "h1")).perform()
    check_details(shown, page, worst)  # kept in view
    assert lit(shown) == {str(worst)}
    marks = shown.find_elements("css selector", f"figure .shown[data-job='{worst}']")
    assert len(marks) == len(shown.find_elements("css selector", f"figure [data-job='{worst}']")) > 1

    ActionChains(shown).send_keys(Keys.ESCAPE).perform()
    assert lit(shown) == set()
    assert not one(shown, "#detail").is_displayed()

    point_at(shown, worst).click().perform()
    one(shown, "#detail a").click()
    assert jobs_in_view(shown)[-1] == worst
    assert len(jobs_in_view(shown)) > FIRST_ROWS
    row = one(shown, "#runs-table tr.pinned")
    assert row.text.split()[-1] == str(worst)
    assert shown.switch_to.active_element == row
    top, bottom, height = browser_box(shown, row)
    assert 0 <= top < bottom <= height


def test_beside_the_points_there_is_no_run(shown: Chrome) -> None:
    ActionChains(shown).move_to_element(one(shown, "figure:nth-of-type(2) svg text")).click().perform()
    assert not one(shown, "#detail").is_displayed()


# Windows, light, paper


@pytest.mark.parametrize("width", [390, 700, 840, 1280])
def test_the_page_never_scrolls_sideways(shown: Chrome, width: int) -> None:
    set_window(shown, width)
    inner, outer = script(shown, "return [document.documentElement.scrollWidth, innerWidth]")
    assert outer == width
    assert inner <= width


def test_a_phone_gets_the_details_too(shown: Chrome, page: MadeUpPage) -> None:
    set_window(shown, 390)
    click(shown, shown.find_elements("css selector", "#runs-table tbody tr")[2])
    check_details(shown, page, jobs_in_view(shown)[2])
    box = one(shown, "#detail").rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, as WCAG defines it."""
    parts = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_by_day_and_by_night(shown: Chrome, scheme: str) -> None:
    set_scheme(shown, scheme)
    style = "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]"
    ink, paper = map(luminance, script(shown, style))
    assert (paper > ink) == (scheme == "light")
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= READABLE


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_off_can_be_read_too(shown: Chrome, scheme: str) -> None:
    set_scheme(shown, scheme)
    ink, paper, opacity = script(
        shown,
        "const cell = getComputedStyle(document.querySelector('td.off')); "
        "return [cell.color, getComputedStyle(document.body).backgroundColor, cell.opacity]",
    )
    parts = [np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) for colour in (ink, paper)]
    mixed = "rgb({}, {}, {})".format(*(float(opacity) * parts[0] + (1 - float(opacity)) * parts[1]).astype(int))
    low, high = sorted(map(luminance, (mixed, paper)))
    assert (high + 0.05) / (low + 0.05) >= READABLE_IF_NEEDED


@pytest.mark.parametrize("width", [390, 1280])
def test_letters_are_of_one_size_in_all_pictures(shown: Chrome, width: int) -> None:
    set_window(shown, width)
    full, narrow = shown.execute_script(
        "const svg = document.querySelector('.picture svg'), other = svg.cloneNode(true); svg.after(other); "
        "other.outerHTML = arguments[0]; "
        "return [svg, svg.nextSibling].map(one => one.getBoundingClientRect().width / one.viewBox.baseVal.width)",
        inlined("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 360 300'/>", "p-", "narrow"),
    )
    assert narrow == pytest.approx(full, rel=1e-3)


def test_paper_is_white_even_at_night(shown: Chrome) -> None:
    set_scheme(shown, "dark", medium="print")
    style = "const of = (name) => getComputedStyle(document.querySelector(name)); "
    ink, paper, scheme, filtered = script(
        shown,
        style
        + "return [of('body').color, of('body').backgroundColor, of('html').colorScheme, of('.picture svg').filter]",
    )
    assert luminance(ink) < 0.05
    assert luminance(paper) == pytest.approx(1.0)
    assert (scheme, filtered) == ("light", "none")
    assert not one(shown, ".filter").is_displayed()


def test_the_page_is_readable_without_its_script(shown: Chrome, page: MadeUpPage, tmp_path: Path) -> None:
    without = tmp_path / "report.html"
    without.write_text(re.sub(r"<script>.*?</script>", "", page.html, flags=re.DOTALL))
    shown.get(without.as_uri())
    assert one(shown, "#round-1").text == "Round explore"
    assert len(shown.find_elements("css selector", "figure svg")) == page.html.count("<figure>")
    assert json.loads(script(shown, "return document.getElementById('runs-data').textContent"))["sort"] == "min_loss"
    assert Rows(page.frame).factors  # the table of all runs is what is missing
