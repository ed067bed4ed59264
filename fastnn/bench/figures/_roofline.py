"""The roofline: rates against operations per byte, below the ceilings of the machine."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from fastnn._drawing import STYLE
from fastnn.bench.ceilings import Ceilings
from fastnn.bench.figures._style import FAINT, OURS, REMARK, color_of, frame, main_cases, sign
from fastnn.bench.protocol import Array
from fastnn.bench.results import BASE, Case, Document

_MARK = 5.5  # half of the width of a mark, in points
# Where a number may stand, seen from its mark: near it, then further away.
_OFFSETS = [
    (r * np.cos(np.radians(angle)), r * np.sin(np.radians(angle)))
    for r in (13, 22, 31, 40)
    for angle in (90, 270, 0, 180, 45, 135, 315, 225)
]
_PLAIN = FuncFormatter(lambda v, _: f"{v:g}")


@rc_context(STYLE)
def roofline(document: Document, *, listed: bool = True) -> Figure | None:
    """Draw rates against operations per byte, below the ceilings of the machine.

    With `listed`, a list beside it says which number is which job, as `job_numbers` does.

    The two slopes are bandwidths, the two level lines peaks of arithmetic, all measured in the
    same run. Williams, Waterman and Patterson (2009), *Communications of the ACM* 52(4), 65-76.
    """
    cases = [c for c in main_cases(document) if c.implementation in (OURS, BASE)]
    numbers = job_numbers(document)
    jobs = [case.job for case in numbers.values()]
    if not jobs:
        return None
    figure = Figure(figsize=(9.6, 5.2) if listed else (5.4, 4.4), layout="constrained")
    if listed:
        ax, legend = figure.subplots(1, 2, width_ratios=(2.1, 1))
    else:
        ax = legend = figure.subplots()
    intensity = [c.flops / c.bytes for c in cases]
    limits = document.ceilings
    # Where the cache's slope ends is always in sight, with the words beside the ceilings.
    leftmost = min(min(intensity) / 3, limits.peak_float32 / limits.triad_cache / 8)
    x = np.geomspace(leftmost, max(intensity) * 3, 200)
    _draw_ceilings(ax, x, limits)
    shown = [case for case in cases if case.job in jobs]
    for case in shown:
        _point(ax, case)
    rates = [limits.triad_memory * leftmost, *(c.gflops for c in cases)]
    # Implementations that skip some of the operations can exceed the peak.
    highest = 3 * max(limits.peak_float32, *rates)
    ax.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), ylim=(min(rates) / 2.5, highest))
    ax.set(xlabel="operations per byte that must move", ylabel="GFLOP/s")
    ax.xaxis.set_major_formatter(_PLAIN)
    ax.yaxis.set_major_formatter(_PLAIN)
    frame(ax, "both")
    _name_marks(legend, "upper left" if listed else "lower right")
    if listed:
        _list_jobs(legend, numbers)
        sign(figure, document)
    _number(ax, numbers, shown)
    return figure


def _draw_ceilings(ax: Axes, x: Array, ceilings: Ceilings) -> None:
    """Draw the bandwidths up to the peak of arithmetic, and the best product."""
    top = ceilings.peak_float32
    for name, bandwidth, style, where in (
        ("cache", ceilings.triad_cache, "--", "bottom"),
        ("memory", ceilings.triad_memory, "-", "top"),
    ):
        ax.plot(x, np.minimum(bandwidth * x, top), style, color=FAINT, linewidth=1.4)
        ax.text(
            np.sqrt(x[0] * top / bandwidth) * (1 if where == "bottom" else 2),
            np.sqrt(x[0] * top * bandwidth) * (1.1 if where == "bottom" else 1.7),
            f"{name}, {bandwidth:,.0f} GB/s",
            rotation=np.degrees(np.arctan(bandwidth)),  # along the line, whatever its scale
            rotation_mode="anchor",
            transform_rotates_text=True,
            ha="center",
            va=where,
            **REMARK,
        )
    ax.axhline(ceilings.sgemm, color=FAINT, linewidth=1.0, linestyle=":")
    limits = f"multiply-adds, {top:,.0f} GFLOP/s\ndotted: best product, {ceilings.sgemm:,.0f}"
    ax.text(1.1 * top / ceilings.triad_cache, top * 1.08, limits, **REMARK)


def _place(case: Case) -> tuple[float, float]:
    """Return the coordinates of a case."""
    return case.flops / case.bytes, case.gflops


def _point(ax: Axes, case: Case) -> None:
    """Draw one case: fastnn filled, numpy as an empty mark."""
    color = color_of(case.implementation)
    if case.implementation == BASE:
        ax.plot(*_place(case), "s", markersize=7, markerfacecolor="white", markeredgecolor=color)
    else:
        ax.plot(*_place(case), "o", markersize=8, color=color, zorder=3)


def _number(ax: Axes, numbers: dict[int, Case], marks: list[Case]) -> None:
    """Write the number of each case beside its mark, where no other mark or number is."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    unit = figure.dpi / 72  # pixels of a point
    taken = [_around(ax.transData.transform(_place(case)) / unit, _MARK, _MARK) for case in marks]
    for number, case in sorted(numbers.items(), key=lambda item: _place(item[1])):
        mark = ax.transData.transform(_place(case)) / unit
        half = 3.4 * len(str(number)), 4.5
        for dx, dy in _OFFSETS:
            box = _around(mark + np.array([dx, dy]), *half)
            if not any(_overlap(box, other) for other in taken):
                break
        taken.append(box)
        far = np.hypot(dx, dy) > 16
        ax.annotate(
            str(number),
            _place(case),
            (dx, dy),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=9,
            weight="bold",
            color=color_of(OURS),
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
            arrowprops={"arrowstyle": "-", "color": color_of(OURS), "lw": 0.8} if far else None,
        )


def _around(middle: Array, half_width: float, half_height: float) -> tuple[float, ...]:
    """Return left, bottom, right and top of a box."""
    x, y = middle
    return x - half_width, y - half_height, x + half_width, y + half_height


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Say whether two boxes have a point in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def rate_text(gflops: float) -> str:
    """Return a rate with its unit, of a small one two digits."""
    return f"{gflops:,.0f} GFLOP/s" if gflops >= 10 else f"{gflops:.2g} GFLOP/s"


def job_numbers(document: Document) -> dict[int, Case]:
    """Return the cases of fastnn by the numbers that they have in the roofline."""
    found: dict[str, Case] = {}
    for case in main_cases(document):
        if case.implementation == OURS:
            found.setdefault(case.job, case)
    return dict(enumerate(found.values(), 1))


def _name_marks(ax: Axes, where: Literal["upper left", "lower right"]) -> None:
    """Write what the two kinds of marks are."""
    ax.plot([], [], "o", markersize=8, color=color_of(OURS), label=OURS)
    ax.plot(
        [],
        [],
        "s",
        markersize=7,
        markerfacecolor="white",
        markeredgecolor=color_of(BASE),
        label=f"{BASE}, the same job",
    )
    ax.legend(loc=where, fontsize=9.5)


def _list_jobs(ax: Axes, numbers: dict[int, Case]) -> None:
    """Write a list of the numbers beside the roofline."""
    ax.axis("off")
    for number, case in numbers.items():
        text = f"{number:>2}  {case.title}\n     {rate_text(case.gflops)}"
        if case.share_of_peak >= 0.05:
            text += f", {case.share_of_peak:.0%} of the peak"
        ax.text(
            0, 0.84 - 0.84 * (number - 1) / len(numbers), text, fontsize=8.5, va="top",
            transform=ax.transAxes,
        )  # fmt: skip
