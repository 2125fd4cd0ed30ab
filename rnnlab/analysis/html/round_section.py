"""A round's section of the page: the Markdown of report.md as HTML, with the pictures inline."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rnnlab.analysis.html.inline_svg import inlined
from rnnlab.analysis.plots.pictures import Picture

_PARAGRAPH = 3  # tokens: open, inline, close
_MINUS = re.compile(r"(?<![^\s(])-(?=\d)")  # at the start of a number


@dataclass(frozen=True)
class Section:
    """One round."""

    name: str
    sentence: str  # the round in one line
    markdown: str  # its section of report.md, which starts with its heading
    pictures: Mapping[str, Picture]  # by their path in the Markdown


def section_html(section: Section, ident: str) -> str:
    """The section as HTML; its ids start with `ident`, which is the id of its heading.

    HTML in the Markdown is shown as text. Of a picture that is not among the section's only the title is shown:
    nothing is loaded from outside the page.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = _with_figures(markdown.parse(section.markdown), section.pictures, ident)
    _set_tables(tokens, ident)
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _with_figures(tokens: Sequence[Token], pictures: Mapping[str, Picture], ident: str) -> list[Token]:
    """The tokens; each paragraph that is a picture is replaced by a figure, and other pictures by their title."""
    made: list[Token] = []
    place = 0
    while place < len(tokens):
        token, inline = tokens[place], tokens[place + 1 : place + 2]
        picture = _picture(inline[0], pictures) if inline and token.type == "paragraph_open" else None
        if picture is not None:
            made.append(_html(_figure(picture, f"{ident}-{place}-")))
            place += _PARAGRAPH
            # The caption repeats the headline of the picture.
            following = tokens[place + 1 : place + 2]
            if following and following[0].content.startswith(f"*{picture.title}.*"):
                place += _PARAGRAPH
            continue
        for child in token.children or []:
            if child.type == "image":
                child.type, child.children = "text", []
            if child.type == "text":
                child.content = _MINUS.sub("\N{MINUS SIGN}", child.content)
        made.append(token)
        place += 1
    return made


def _picture(inline: Token, pictures: Mapping[str, Picture]) -> Picture | None:
    """The picture, if a paragraph consists of exactly one."""
    children = inline.children or []
    alone = len(children) == 1 and children[0].type == "image"
    return pictures.get(str(children[0].attrs["src"])) if alone else None


def _figure(picture: Picture, prefix: str) -> str:
    svg = inlined(picture.svg, prefix, picture.caption)
    title = escape(picture.title)
    box = f'<div class="scroll picture" tabindex="0" role="group" aria-label="{title}">{svg}</div>'
    return f"<figure>\n{box}\n<figcaption>{title}</figcaption>\n</figure>\n"


def _set_tables(tokens: list[Token], ident: str) -> None:
    """Headings get ids; tables get a scrollable box and a caption for screen readers."""
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
