"""The three figures of a run: speed-ups, roofline, throughput."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from fastnn.bench.figures._roofline import roofline
from fastnn.bench.figures._speedups import speedups
from fastnn.bench.figures._throughput import throughput
from fastnn.bench.results import Document
from fastnn.plots import save

__all__ = ["NAMES", "draw_all", "roofline", "speedups", "throughput"]

_FIGURES: dict[str, Callable[[Document], Figure | None]] = {
    "speedups.png": speedups,
    "roofline.png": roofline,
    "throughput.png": throughput,
}
NAMES = tuple(_FIGURES)  # of the files


def draw_all(document: Document, folder: Path) -> list[Path]:
    """Draw every figure that the document has cases for.

    Parameters
    ----------
    document : Document
    folder : Path
        An existing folder.

    Returns
    -------
    list of Path
        The files written: `speedups.png`, `roofline.png`, `throughput.png`.
    """
    written = []
    for name, draw in _FIGURES.items():
        figure = draw(document)
        if figure is not None:
            save(figure, folder / name)
            written.append(folder / name)
    return written
