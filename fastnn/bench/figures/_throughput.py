"""Throughput against batch size and number of threads."""

from __future__ import annotations

from typing import Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from fastnn.bench.figures._style import KINDS, color_of, frame, in_order, sign
from fastnn.bench.results import Case, Document
from fastnn.plots import _STYLE

_MARKERS = "osD^vP"
_THOUSANDS = FuncFormatter(lambda v, _: f"{v:,.0f}")
_SOME_THOUSANDS = FuncFormatter(lambda v, _: f"{v:,.0f}" if f"{v:.0e}"[0] in "25" else "")


@rc_context(_STYLE)
def throughput(document: Document) -> Figure | None:
    """Draw images a second of clean and FGSM accuracy against batch size and threads."""
    most = document.ceilings.threads
    cases = [c for c in document.cases if c.job == "accuracy" and c.n == c.asked]
    by_batch = [c for c in cases if c.threads == most]
    counts = {c.asked for c in document.cases if c.job == "accuracy" and c.threads < most}
    by_threads = [c for c in cases if c.asked in counts]
    if len({c.asked for c in by_batch}) < 2:
        return None
    columns = 2 if by_threads else 1
    figure = Figure(figsize=(4.9 * columns, 3.9), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    _lines(axes[0], by_batch, "asked")
    axes[0].set(xlabel="images in the batch", ylabel="images a second, clean and FGSM")
    axes[0].set(xscale="log", yscale="log")
    for axis in (axes[0].xaxis, axes[0].yaxis):
        axis.set_major_formatter(_THOUSANDS)
    axes[0].yaxis.set_minor_formatter(_SOME_THOUSANDS)
    if by_threads:
        _lines(axes[1], by_threads, "threads")
        axes[1].set(xlabel=f"threads, {min(counts):,} images")
        axes[1].yaxis.set_major_formatter(_THOUSANDS)
        axes[1].set_xticks(sorted({c.threads for c in by_threads}))
        axes[1].set(xlim=(0.7, most + 0.3), ylim=(0, None))
    axes[0].legend(fontsize=9.5)
    sign(figure, document)
    return figure


def _lines(ax: Axes, cases: list[Case], by: Literal["asked", "threads"]) -> None:
    """Draw a line for every implementation that has more than one case."""
    for name in in_order(c.implementation for c in cases):
        own = [c for c in cases if c.implementation == name]
        points = sorted((getattr(c, by), c.samples_per_second) for c in own)
        if len(points) > 1:
            x, y = zip(*points, strict=True)
            marker = _MARKERS[KINDS.index(name)] if name in KINDS else "P"
            ax.plot(x, y, marker=marker, color=color_of(name), label=name)
    frame(ax, "y")
