"""An SVG document as a part of an HTML page."""

import re
from xml.etree import ElementTree

_FULL_WIDTH = 540.0  # points: of a picture as wide as the text of a printed page
_SVG = "{http://www.w3.org/2000/svg}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_COORDINATES = {"d", "x", "y"}  # not transform: a letter drawn as an outline is scaled by a few thousandths
_LONG = re.compile(r"\d+\.\d{3,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
# matplotlib computes the layout with DejaVu Sans; if it is not installed, these fonts are about as wide.
_FONTS = "'DejaVu Sans', Verdana, Geneva, sans-serif"


def inlined(document: str, prefix: str, label: str) -> str:
    """The <svg> element of a document, for a page with several of them.

    Its ids start with `prefix`; ids without a reference are removed, and so are style sheets, which would apply to the
    whole page, and metadata. It scales with its box: its style has its width as a `--share` of a full-width picture.
    `label` is its name for screen readers. Raises ElementTree.ParseError if the document is not well-formed.
    """
    root = ElementTree.fromstring(visible(document))
    for parent in list(root.iter()):
        for child in list(parent):
            # A style sheet would apply to the whole page; matplotlib's rules are set on the root below.
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    used = {name for element in root.iter() for name in _references(element)}
    for element in root.iter():
        _adapt(element, prefix, used)
    width = float(root.attrib["viewBox"].split()[2])
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {"role": "img", "aria-label": label, "stroke-linejoin": "round", "stroke-linecap": "butt"}
    root.set("style", f"--share: {width / _FULL_WIDTH:.4g}")
    return ElementTree.tostring(root, encoding="unicode").strip()


def visible(text: str) -> str:
    """The text without characters that XML and HTML forbid: control characters become the replacement character."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _references(element: ElementTree.Element) -> list[str]:
    names = [name for value in element.attrib.values() for name in _REFERENCE.findall(value)]
    href = element.get(_HREF, "")
    return [*names, href[1:]] if href.startswith("#") else names


def _adapt(element: ElementTree.Element, prefix: str, used: set[str]) -> None:
    element.tag = element.tag.removeprefix(_SVG)
    href = element.attrib.pop(_HREF, None)
    if element.tag not in ("text", "tspan"):
        element.text = None
    element.tail = None
    for name, value in list(element.attrib.items()):
        if name == "id":
            if value in used:
                element.set("id", prefix + value)
            else:
                del element.attrib["id"]
        elif name in _COORDINATES:
            element.set(name, _LONG.sub(_hundredths, " ".join(value.split())))
        elif "url(#" in value:
            element.set(name, _REFERENCE.sub(rf"url(#{prefix}\1)", value))
    if href is not None:
        element.set("href", f"#{prefix}{href[1:]}" if href.startswith("#") else href)
    if element.tag == "text" and "style" in element.attrib:
        element.set("style", re.sub(r"'DejaVu Sans'[^;]*", _FONTS, element.attrib["style"]))


def _hundredths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}"  # of a point: a tenth of a pixel
