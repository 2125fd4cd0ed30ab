"""A round's section of the report, as HTML: the Markdown of report.md with its pictures drawn in the page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rnnlab.analysis.page.inline import inlined

_MINUS = re.compile(r"(?<![^\s(])-(?=\d)")  # at the start of a number


@dataclass(frozen=True)
class Illustration:
    """A picture of a section."""

    title: str  # what it shows; stands under it
    caption: str  # what it says, for those who cannot see it
    svg: str  # an SVG document


@dataclass(frozen=True)
class Section:
    """One round."""

    name: str
    sentence: str  # the round in one line
    markdown: str  # its section of report.md, which begins with its heading
    illustrations: Mapping[str, Illustration]  # by the path that the Markdown has for them


def section_html(section: Section, ident: str) -> str:
    """The section as HTML; its ids begin with `ident`, which is the id of its heading.

    HTML in the Markdown is text like any other. A picture that is not among the illustrations is its title only:
    nothing is loaded from elsewhere.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = _with_figures(markdown.parse(section.markdown), section.illustrations, ident)
    _set_tables(tokens, ident)
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _with_figures(tokens: Sequence[Token], illustrations: Mapping[str, Illustration], ident: str) -> list[Token]:
    """The tokens with a figure in the place of each paragraph that is a picture, and no other pictures."""
    made: list[Token] = []
    for token in tokens:
        children = token.children or []
        images = [child for child in children if child.type == "image"]
        known = illustrations.get(str(images[0].attrs["src"])) if images else None
        if known is not None and len(children) == 1:
            made[-1] = _html(_figure(known, f"{ident}-{len(made)}-"))  # instead of the beginning of the paragraph
            continue
        if made and made[-1].type == "html_block" and token.type == "paragraph_close":
            continue
        for child in children:
            if child.type == "image":
                child.type, child.children = "text", []
            if child.type == "text":
                child.content = _MINUS.sub("\N{MINUS SIGN}", child.content)
        made.append(token)
    return made


def _figure(illustration: Illustration, prefix: str) -> str:
    svg = inlined(illustration.svg, prefix, illustration.caption)
    title = escape(illustration.title)
    box = f'<div class="scroll picture" tabindex="0" role="group" aria-label="{title}">{svg}</div>'
    return f"<figure>\n{box}\n<figcaption>{title}</figcaption>\n</figure>\n"


def _set_tables(tokens: list[Token], ident: str) -> None:
    """Headings get ids; tables a box to scroll in and, for those who hear them, a caption."""
    heading, place = "", 0
    while place < len(tokens):
        token = tokens[place]
        if token.type == "heading_open":
            heading = tokens[place + 1].content
            token.attrSet("id", ident if token.tag == "h2" else f"{ident}-{place}")
        elif token.type == "table_open":
            box = f'<div class="scroll" tabindex="0" role="group" aria-label="{escape(heading)}">\n'
            tokens.insert(place, _html(box))
            tokens.insert(place + 2, _html(f'<caption class="unseen">{escape(heading)}</caption>\n'))
            place += 2
        elif token.type == "table_close":
            tokens.insert(place + 1, _html("</div>\n"))
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        place += 1


def _html(text: str) -> Token:
    return Token("html_block", "", 0, content=text)
