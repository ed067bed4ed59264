"""Speed-ups over numpy as bars, job by job."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from fastnn._drawing import STYLE
from fastnn.bench.figures._style import FAINT, color_of, frame, in_order, main_cases, sign
from fastnn.bench.results import BASE, Document, Speedup

_GAP = 6.0  # pixels between a number and the frame
_FEW_DECADES = 2.5  # on the axis, so that there is room for the numbers 1, 2, 5, 10
_FAINT = "\nfaint: not resolved, two runs of the same program can differ as much"


@rc_context(STYLE)
def speedups(document: Document) -> Figure | None:
    """Draw how many times as fast as numpy each implementation is; None without such cases."""
    cases = [(c, c.speedup) for c in main_cases(document) if c.speedup is not None]
    if not cases:
        return None
    jobs = list(dict.fromkeys(case.job for case, _ in cases))
    names = in_order(case.implementation for case, _ in cases)
    cases.sort(key=lambda pair: names.index(pair[0].implementation))
    figure = Figure(figsize=(8.6, 2.4 + 0.27 * (len(cases) + len(jobs))), layout="constrained")
    ax = figure.subplots()
    y, ticks = 0.0, []
    for job in jobs:
        of_job = [(case, speedup) for case, speedup in cases if case.job == job]
        ticks.append((y + (len(of_job) - 1) / 2, of_job[0][0].title))
        for case, speedup in of_job:
            _bar(ax, y, color_of(case.implementation), speedup)
            y += 1
        y += 0.7
    for name in names:
        ax.barh(0, 0, color=color_of(name), label=name)
    ax.axvline(1, color=FAINT, linewidth=1)
    ax.set(xscale="log", ylim=(y - 0.7, -0.7), yticks=[at for at, _ in ticks])
    ax.set_yticklabels([text for _, text in ticks], fontsize=9.5)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.02)
    faint = _FAINT if any(speedup.resolved is False for _, speedup in cases) else ""
    ax.set_xlabel(f"times as fast as vectorised {BASE} in float32 (= 1), with 95 % interval{faint}")
    figure.legend(loc="outside upper center", ncols=min(len(names), 4))
    frame(ax, "x")
    sign(figure, document)
    _make_room(ax)
    low, high = np.log10(ax.get_xlim())
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high - low < _FEW_DECADES else (1,)))
    return figure


def _make_room(ax: Axes) -> None:
    """Widen the axis until all numbers beside the bars are inside."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    for _ in range(3):  # a wider axis moves the bars a little
        figure.draw_without_rendering()
        box = ax.get_window_extent()
        ends = [text.get_window_extent() for text in ax.texts]
        left = max(0.0, box.x0 - min(end.x0 for end in ends) + _GAP) / box.width
        right = max(0.0, max(end.x1 for end in ends) - box.x1 + _GAP) / box.width
        low, high = np.log10(ax.get_xlim())
        wide = (high - low) / (1 - min(left + right, 0.8))
        ax.set_xlim(10 ** (low - left * wide), 10 ** (high + right * wide))


def _bar(ax: Axes, y: float, color: str, speedup: Speedup) -> None:
    """Draw one ratio as a bar from 1, faint if it is not resolved."""
    low, median, high = speedup.low, speedup.median, speedup.high
    faint = speedup.resolved is False
    ax.barh(y, median - 1, left=1, height=0.8, color=color, alpha=0.35 if faint else 1.0)
    ax.plot([low, high], [y, y], color="#222222", linewidth=1.3, solid_capstyle="butt")
    text = f"{median:.2g}" + ("  not resolved" if faint else "")
    at, side, gap = (high, "left", 5) if median >= 1 else (low, "right", -5)
    ax.annotate(
        text, (at, y), (gap, 0), textcoords="offset points", ha=side, va="center", fontsize=8.5
    )
