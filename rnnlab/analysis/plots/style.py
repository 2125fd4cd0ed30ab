"""What all pictures share: size, fonts, colors, the headline, PNG and SVG."""

import base64
import io
import re
import textwrap
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any, Literal

import matplotlib
import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import Collection, PathCollection
from matplotlib.colors import Colormap, to_rgb
from matplotlib.figure import Figure
from PIL import Image

DOTS_PER_INCH = 200
POINTS_PER_INCH = 72
INK = "0.15"  # text and means
FAINT = "0.45"  # notes, threshold

WIDTH = 7.5  # inches: the text of a printed page
TITLE_POINTS = 10.5
NOTE_POINTS = 8.0
LABEL_POINTS = 9.0
TICK_POINTS = 8.0
LINE_INCHES = 0.17  # of text

MOST_SHAPES = 1500  # points or corners that are shapes in an SVG; more are drawn as an image inside it

_LARGE = 1e5  # a loss that is written without decimals
_BEST_PLACE = 4  # in the palette
_IMAGE_DOTS_PER_INCH = 100  # of the images inside an SVG
_FEW_COLORS = 300  # a scale of colors has 256
_SCALE_STEPS = 128  # of them kept in a PNG
_NO_DITHER = Image.Dither.NONE
_IMAGE = re.compile(r'(data:image/png;base64,)([^"]*)')
_COORDINATES = re.compile(r' (?:d|x|y)="[^"]*"')
_RUN = re.compile(r'<a xlink:href="#job-(\d+)"[^>]*>\s*<(\w+)([^<]*/>)\s*</a>')
_FRACTION = re.compile(r"(\.\d\d)\d+")  # a hundredth of a point is finer than any screen


def context() -> AbstractContextManager[None]:
    """A context in which matplotlib draws with the fonts and lines of every picture."""
    sizes = {
        "font.size": LABEL_POINTS,
        "axes.labelsize": LABEL_POINTS,
        "axes.titlesize": LABEL_POINTS,
        "xtick.labelsize": TICK_POINTS,
        "ytick.labelsize": TICK_POINTS,
        "legend.fontsize": NOTE_POINTS,
        "legend.title_fontsize": NOTE_POINTS,
    }
    thin = {"axes.linewidth": 0.8, "xtick.major.width": 0.8, "ytick.major.width": 0.8, "grid.linewidth": 0.6}
    parameters: Any = {**sns.axes_style("ticks"), **sizes, **thin}
    return matplotlib.rc_context(parameters)


@cache
def _palette() -> list[Any]:
    return list(sns.color_palette("colorblind"))


def colors(n: int) -> list[Any]:
    """n colors that color-blind readers can distinguish (up to nine; beyond that a scale from dark to light)."""
    free = [color for place, color in enumerate(_palette()) if place != _BEST_PLACE]
    return free[:n] if n <= len(free) else list(sns.color_palette("viridis", n))


def best_color() -> Any:
    """The color of the best run, which `colors` never returns."""
    return _palette()[_BEST_PLACE]


def metric_colors() -> Any:
    """The color map of a metric: dark is low, and low is better."""
    return matplotlib.colormaps["viridis"]


def share_colors() -> Any:
    """The color map of a share; white is 0."""
    return matplotlib.colormaps["Blues"]


def ink_on(color: Any) -> str:
    """A color for text that can be read on this color."""
    red, green, blue = to_rgb(color)
    return INK if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def shortened(text: str, letters: int) -> str:
    """The text, cut to at most this many letters."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def decimals(value: float, sign: Literal["", "+"] = "") -> str:
    """A loss or a difference with three decimals; a very large one with three digits: 1e+200."""
    return f"{value:{sign}.3f}" if abs(value) < _LARGE else f"{value:{sign}.3g}"


def new_figure(width: float, height: float, title: str, note: str) -> Figure:
    """A figure of width x height inches with its finding on top and its note below, both wrapped to fit."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_wrap(title, width, TITLE_POINTS, 0.60), x=0.01, ha="left", fontsize=TITLE_POINTS, weight="bold")
    if note:
        set_note(figure, note)
    return figure


def set_note(figure: Figure, note: str) -> None:
    """Write the note below a figure, or replace it."""
    text = "\n".join(_wrap(line, figure.get_figwidth(), NOTE_POINTS, 0.53) for line in note.splitlines())
    figure.supxlabel(text, x=0.01, ha="left", fontsize=NOTE_POINTS, color=FAINT)


def words_figure(title: str, text: str) -> Figure:
    """A picture that says in words why there is nothing to draw."""
    lines = f"{_wrap(title, WIDTH, TITLE_POINTS, 0.60)}\n{_wrap(text, WIDTH, NOTE_POINTS, 0.53)}".count("\n") + 1
    with context():
        return new_figure(WIDTH, 0.3 + 0.18 * lines, title, text)


def _wrap(text: str, width: float, points: float, letter: float) -> str:
    return "\n".join(lines_of_text(text, int(width * 0.98 * POINTS_PER_INCH / (points * letter))))


def lines_of_text(text: str, letters: int, most: int | None = None) -> list[str]:
    """The text in lines of at most this many letters, broken at spaces only; a number stays with the word before it.

    most: number of lines; longer text is cut.
    """
    # textwrap does not break at a no-break space.
    bound = re.sub(r" (?=[-+=\d])|(?<==) | (?=of \d)", "\N{NO-BREAK SPACE}", text)
    return textwrap.wrap(bound, letters, break_on_hyphens=False, max_lines=most, placeholder=" …")


def name_runs(marks: Collection, job_ids: Iterable[int]) -> None:
    """Assign the marks of a collection to jobs, one each; in the SVG each has the attribute data-job.

    Marks that become an image do not keep it. Points are not clipped at the edge of the axes.
    """
    if isinstance(marks, PathCollection):
        marks.set_clip_on(False)  # the SVG would clip each one separately, which doubles its size
    marks.set_urls([f"#job-{job_id}" for job_id in job_ids])


def png_and_svg(figure: Figure, name: str) -> tuple[bytes, str]:
    """The figure in both formats, laid out once; equal figures give equal bytes.

    The PNG has 256 colors, which makes it a third of the size. The SVG is one `<svg>` element, for a file or a page;
    its letters are text, which can be searched and copied and takes half the space of outlines. name: of the picture
    on its page; the ids in the SVG depend on it.
    """
    image = png(figure)
    figure.set_layout_engine("none")
    return image, _svg(figure, name)


def png(figure: Figure) -> bytes:
    """The figure as PNG in 256 colors; equal figures give equal bytes."""
    # Not by `savefig`, which draws everything twice.
    figure.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    scale = next((ax.images[0].get_cmap() for ax in figure.axes if ax.images), None)
    return _in_256_colors(Image.fromarray(pixels).convert("RGB"), scale)


def _svg(figure: Figure, name: str) -> str:
    stream = io.StringIO()
    figure.set_dpi(_IMAGE_DOTS_PER_INCH)
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})  # type: ignore[no-untyped-call]
    figure.set_dpi(DOTS_PER_INCH)
    text = _RUN.sub(r'<\2 data-job="\1"\3', stream.getvalue())
    text = _COORDINATES.sub(lambda found: _FRACTION.sub(r"\1", found[0]), text[text.index("<svg") :])
    return _IMAGE.sub(lambda found: found[1] + _smaller(found[2]), text)


def _smaller(image: str) -> str:
    """An image inside an SVG, reduced to 256 colors, or unchanged if it has few."""
    data = base64.b64decode(image)
    pixels = Image.open(io.BytesIO(data)).convert("RGBA")
    is_scale = pixels.getcolors(_FEW_COLORS) is not None
    return base64.b64encode(data if is_scale else _in_256_colors(pixels)).decode()


def _in_256_colors(image: Image.Image, scale: Colormap | None = None) -> bytes:
    """scale: half of the colors are from it; the colors chosen for the image hardly include those of a color bar."""
    reduced = image.quantize(256 - _SCALE_STEPS * (scale is not None), Image.Quantize.FASTOCTREE, dither=_NO_DITHER)
    if scale is not None:
        steps = (255 * scale(np.linspace(0, 1, _SCALE_STEPS))[:, :3]).round().astype(int)
        palette = Image.new("P", (1, 1))
        palette.putpalette([*steps.ravel().tolist(), *(reduced.getpalette() or [])])
        reduced = image.quantize(palette=palette, dither=_NO_DITHER)
    if image.mode == "RGB":
        # Keep the color of the background: it would become the nearest shade of gray.
        used, paper = reduced.getpalette() or [], 3 * int(np.asarray(reduced)[0, 0])
        used[paper : paper + 3] = np.asarray(image)[0, 0].tolist()
        reduced.putpalette(used)
    stream = io.BytesIO()
    reduced.save(stream, "png", dpi=(DOTS_PER_INCH, DOTS_PER_INCH))
    return stream.getvalue()
