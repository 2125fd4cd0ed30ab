"""The page itself: one file with its style, script, pictures and data, which loads nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import jinja2

from rnnlab.analysis.html.inline_svg import visible
from rnnlab.analysis.html.round_section import Section, section_html


class Sample(Protocol):
    """The text of a run, or the reason why there is none."""

    @property
    def run(self) -> str:
        """The run, as a text that can start a sentence."""

    @property
    def how(self) -> str:
        """How the text was sampled."""

    @property
    def text(self) -> str:
        """The text as sampled, including control characters."""

    @property
    def missing(self) -> str:
        """Why there is no text; empty if there is one."""


@dataclass(frozen=True)
class Page:
    """The contents of the page."""

    name: str  # of the experiment
    title: str  # its question; may be empty
    sections: Sequence[Section]  # in the order of the rounds
    runs: dict[str, Any]  # `runs_data`
    n_runs: int
    origin: Sequence[tuple[str, str]]
    sample: Sample | None


def page_html(page: Page) -> str:
    """The whole file. Every text in it is escaped; equal pages give equal text."""
    rounds = [(one, section_html(one, f"round-{number}")) for number, one in enumerate(page.sections, start=1)]
    js = _part("page.js") + _part("pictures.js")
    return _template().render(page=page, rounds=rounds, css=_part("page.css"), js=js) + "\n"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False, "ensure_ascii": False}
    environment.filters["visible"] = visible
    return environment.from_string(_part("page.html.j2"))


def _part(name: str) -> str:
    return files("rnnlab.analysis.html").joinpath(name).read_text(encoding="utf-8")
