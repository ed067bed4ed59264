"""The roofline: rates against operations per byte, below the ceilings of the machine."""

from __future__ import annotations

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from fastnn.bench.ceilings import Ceilings
from fastnn.bench.figures._style import FAINT, OURS, REMARK, color_of, frame, main_cases, sign
from fastnn.bench.protocol import Array
from fastnn.bench.results import BASE, Case, Document
from fastnn.plots import _STYLE

_TOUCHING = 0.16  # decades
_PLAIN = FuncFormatter(lambda v, _: f"{v:g}")


@rc_context(_STYLE)
def roofline(document: Document) -> Figure | None:
    """Draw rates against operations per byte, below the ceilings of the machine.

    The two slopes are bandwidths, the two level lines peaks of arithmetic, all measured in the
    same run. Williams, Waterman and Patterson (2009), *Communications of the ACM* 52(4), 65-76.
    """
    cases = [c for c in main_cases(document) if c.implementation in (OURS, BASE)]
    jobs = list(dict.fromkeys(c.job for c in cases if c.implementation == OURS))
    if not jobs:
        return None
    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    ax, legend = figure.subplots(1, 2, width_ratios=(2.1, 1))
    intensity = [c.flops / c.bytes for c in cases]
    x = np.geomspace(min(intensity) / 3, max(intensity) * 3, 200)
    _draw_ceilings(ax, x, document.ceilings)
    shown = [case for case in cases if case.job in jobs]
    for case in shown:
        _point(ax, case)
    _number(ax, {jobs.index(c.job) + 1: c for c in shown if c.implementation != BASE})
    rates = [c.gflops for c in cases]
    # Implementations that skip some of the operations can exceed the peak.
    highest = 3 * max(document.ceilings.peak_float32, *rates)
    ax.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), ylim=(min(rates) / 2.5, highest))
    ax.set(xlabel="operations per byte that must move", ylabel="GFLOP/s")
    ax.xaxis.set_major_formatter(_PLAIN)
    ax.yaxis.set_major_formatter(_PLAIN)
    frame(ax, "both")
    _list_jobs(legend, cases, jobs)
    sign(figure, document)
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


def _number(ax: Axes, cases: dict[int, Case]) -> None:
    """Write the number of each case above its mark; marks that touch have one text."""
    touching: list[list[int]] = []
    for number, case in cases.items():
        for numbers in touching:
            apart = np.abs(np.log10(_place(case)) - np.log10(_place(cases[numbers[-1]])))
            if (apart < _TOUCHING).all():
                numbers.append(number)
                break
        else:
            touching.append([number])
    for numbers in touching:
        x, y = np.transpose([_place(cases[number]) for number in numbers])
        ax.annotate(
            "  ".join(map(str, numbers)),
            (np.exp(np.log(x).mean()), y.max()),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            weight="bold",
            color=color_of(OURS),
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _list_jobs(ax: Axes, cases: list[Case], jobs: list[str]) -> None:
    """Write a legend of the numbers beside the roofline."""
    ax.axis("off")
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
    ax.legend(loc="upper left", fontsize=9.5)
    for number, job in enumerate(jobs, 1):
        case = next(c for c in cases if c.job == job and c.implementation == OURS)
        text = f"{number:>2}  {case.title}\n     {case.gflops:,.0f} GFLOP/s"
        if case.share_of_peak >= 0.05:
            text += f", {case.share_of_peak:.0%} of the peak"
        ax.text(
            0, 0.84 - 0.84 * (number - 1) / len(jobs), text, fontsize=8.5, va="top",
            transform=ax.transAxes,
        )  # fmt: skip
