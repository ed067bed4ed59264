"""Figures as pictures: in notebooks, and inside of HTML.

A notebook shows what the last line of a cell returns. Axes, and tuples and arrays of axes, are
returned in types that show their figure there, and are axes, tuples and arrays all the same.
"""

from __future__ import annotations

import base64
import io
import re
import sys
from collections.abc import Iterable
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.image import imsave

from fastnn._html import Markup, tag

_DPI = 144.0  # of pictures in notebooks, which are shown at half of their size: sharp on any screen
_OWN_ID = re.compile(r' id="(?![mp][0-9a-f]{10}")[^"]*"')  # the others are referred to


def figure_of(drawn: Any) -> Figure:
    """Return the figure that axes, a panel, or the first of several of them belong to."""
    while not isinstance(drawn, Figure):
        drawn = drawn.figure if isinstance(drawn, (Axes, SubFigure)) else next(iter(drawn))
    return drawn


def png_of(drawn: Any) -> tuple[bytes, dict[str, int]]:
    """Return a figure as PNG, with its width and height on the screen."""
    figure, buffer = figure_of(drawn), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    _show_once(figure)
    width, height = (round(float(side) * _DPI / 2) for side in figure.get_size_inches())
    return buffer.getvalue(), {"width": width, "height": height}


def _show_once(figure: Figure) -> None:
    """Keep pyplot from showing a figure again at the end of the cell."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and "inline" in mpl.get_backend():
        pyplot.close(figure)


class ShownAxes(Axes):
    """Axes whose figure a notebook shows."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return png_of(self)


class ShownPair(tuple[Axes, Axes]):
    """Two axes whose figure a notebook shows."""

    __slots__ = ()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return png_of(self)


class ShownArray(np.ndarray[Any, Any]):
    """An array of axes whose figure a notebook shows."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]] | None:
        holds_axes = self.size and isinstance(self.flat[0], Axes)
        return png_of(self.flat) if holds_axes else None


def shown_pair(axes: Iterable[Axes]) -> ShownPair:
    """Return two axes as a tuple that a notebook shows."""
    return ShownPair(axes)


def shown_array(axes: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return an array of axes that a notebook shows."""
    return axes.view(ShownArray)


def svg_of(drawn: Any, label: str) -> Markup:
    """Return a figure as an element of HTML, which fits its place; `label` says what it shows."""
    figure, buffer = figure_of(drawn), io.StringIO()
    # Text stays text, and the names of parts differ from those of other figures on a page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    start, inside = _OWN_ID.sub("", text[text.index("<svg") :]).split(">", 1)
    box = re.search(r'viewBox="([^"]*)"', start)
    assert box is not None
    width = 96 * figure.get_size_inches()[0]  # where letters have their size
    style = f"width:100%;max-width:{width:.0f}px;min-width:{width * 0.65:.0f}px;height:auto"
    opening = tag("svg", role="img", aria_label=label, viewBox=box[1], style=style)
    inside = re.sub(r"\s*<metadata>.*?</metadata>", "", inside, flags=re.DOTALL)
    return Markup(opening.removesuffix("</svg>") + inside)


def image_of(
    pixels: npt.NDArray[np.floating], alt: str, cmap: str | Colormap, low: float, high: float
) -> Markup:
    """Return pixels as an element of HTML, one pixel for each entry."""
    buffer = io.BytesIO()
    imsave(buffer, pixels, vmin=low, vmax=high, cmap=cmap, format="png", metadata={"Software": ""})
    data = base64.b64encode(buffer.getvalue()).decode()
    height, width = pixels.shape
    return tag("img", src=f"data:image/png;base64,{data}", alt=alt, width=width, height=height)
