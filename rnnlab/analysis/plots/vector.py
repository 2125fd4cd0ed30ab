"""Pictures as SVG text: letters stay letters, equal figures give equal text."""

import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.collections import Collection, LineCollection
from matplotlib.figure import Figure

from rnnlab.analysis.plots.style import DOTS_PER_INCH

# Beyond these a browser slows down and the file grows without anything more to be seen.
_MOST_POINTS = 5_000  # of all scatters of a figure together
_MOST_LINES = 1_000  # of all bundles of curves together

_SETTINGS: Any = {"svg.fonttype": "none", "svg.hashsalt": "rnnlab"}


def svg(figure: Figure) -> str:
    """The figure as SVG, with its text as text, on no background. Marks beyond a few thousand become one image.

    The rest of such a figure (axes, text, single lines) is drawn in vectors all the same.
    """
    crowds = [crowd for crowd in figure.findobj(Collection) if isinstance(crowd, Collection)]
    bundles = [crowd for crowd in crowds if isinstance(crowd, LineCollection)]
    scatters = [crowd for crowd in crowds if not isinstance(crowd, LineCollection)]
    if sum(np.shape(scatter.get_offsets())[0] for scatter in scatters) > _MOST_POINTS:
        _as_images(scatters)
    if sum(len(bundle.get_segments()) for bundle in bundles) > _MOST_LINES:
        _as_images(bundles)
    stream = io.StringIO()
    with matplotlib.rc_context(_SETTINGS):
        figure.savefig(
            stream,
            format="svg",
            dpi=DOTS_PER_INCH,
            transparent=True,
            metadata={"Creator": None, "Date": None, "Format": None, "Type": None},
        )
    return stream.getvalue()


def _as_images(crowds: list[Collection] | list[LineCollection]) -> None:
    for crowd in crowds:
        crowd.set_rasterized(True)
