"""The three figures of a run: speed-ups, roofline, throughput."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter

from fastnn.bench.results import BASE
from fastnn.plots import _PALETTE, _STYLE, save

Case = dict[str, Any]

_MARKERS = "osD^vP"
_FAINT = "#8A8A8A"
_REMARK: Any = {"fontsize": 9, "color": "#555555"}
_TOUCHING = 0.16  # decades
_KINDS = ("fastnn float32", "fastnn float64", BASE, "reference")


def draw_all(document: dict[str, Any], folder: Path) -> list[Path]:
    """Draw every figure that the document has cases for.

    Parameters
    ----------
    document : dict
        As `fastnn.bench.results.to_document` makes it.
    folder : Path
        An existing folder.

    Returns
    -------
    list of Path
        The files written: `speedups.png`, `roofline.png`, `throughput.png`.
    """
    figures: dict[str, Callable[[dict[str, Any]], Figure | None]] = {
        "speedups.png": speedups,
        "roofline.png": roofline,
        "throughput.png": throughput,
    }
    written = []
    for name, draw in figures.items():
        figure = draw(document)
        if figure is not None:
            save(figure, folder / name)
            written.append(folder / name)
    return written


@rc_context(_STYLE)
def speedups(document: dict[str, Any]) -> Figure | None:
    """Draw how many times as fast as numpy everybody is, job by job; None without such cases."""
    cases = [case for case in _main_cases(document) if case["speedup"]]
    if not cases:
        return None
    jobs = list(dict.fromkeys(case["job"] for case in cases))
    names = _in_order(case["implementation"] for case in cases)
    figure = Figure(figsize=(8.6, 1.7 + 0.27 * (len(cases) + len(jobs))), layout="constrained")
    ax = figure.subplots()
    height, y, ticks = 0.8, 0.0, []
    for job in jobs:
        group = sorted(
            (c for c in cases if c["job"] == job), key=lambda c: names.index(c["implementation"])
        )
        ticks.append((y + (len(group) - 1) / 2, group[0]["title"]))
        for case in group:
            _bar(ax, y, height, case)
            y += 1
        y += 0.7
    for name in names:
        ax.barh(0, 0, color=_color(name), label=name)
    ax.axvline(1, color=_FAINT, linewidth=1)
    ax.set(xscale="log", ylim=(y - 0.7, -0.7), yticks=[at for at, _ in ticks])
    ax.set_yticklabels([text for _, text in ticks], fontsize=9.5)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.margins(x=0.13)
    ax.set_xlabel(f"times as fast as vectorised {BASE} in float32 (= 1), with 95 % interval")
    figure.legend(loc="outside upper center", ncols=len(names))
    _frame(ax, "x")
    _sign(figure, document)
    return figure


def _bar(ax: Axes, y: float, height: float, case: Case) -> None:
    """Draw one ratio as a bar from 1, faint where it is not resolved."""
    speedup = case["speedup"]
    low, median, high = speedup["low"], speedup["median"], speedup["high"]
    faint = speedup["resolved"] is False
    color = _color(case["implementation"])
    ax.barh(y, median - 1, left=1, height=height, color=color, alpha=0.35 if faint else 1.0)
    ax.plot([low, high], [y, y], color="#222222", linewidth=1.3, solid_capstyle="butt")
    text = f"{median:.2g}" + ("  not resolved" if faint else "")
    at, side, gap = (high, "left", 5) if median >= 1 else (low, "right", -5)
    ax.annotate(
        text, (at, y), (gap, 0), textcoords="offset points", ha=side, va="center", fontsize=8.5
    )


@rc_context(_STYLE)
def roofline(document: dict[str, Any]) -> Figure | None:
    """Draw rates against operations per byte, under what the machine can do at most.

    The two slopes are bandwidths, the two level lines peaks of arithmetic, all measured in the
    same run. Williams, Waterman and Patterson (2009), *Communications of the ACM* 52(4), 65-76.
    """
    cases = [c for c in _main_cases(document) if c["implementation"] in (_KINDS[0], BASE)]
    jobs = list(dict.fromkeys(c["job"] for c in cases if c["implementation"] == _KINDS[0]))
    if not jobs:
        return None
    ceilings = document["ceilings"]
    figure = Figure(figsize=(9.6, 5.2), layout="constrained")
    ax, key = figure.subplots(1, 2, width_ratios=(2.1, 1))
    intensity = [c["flops"] / c["bytes"] for c in cases]
    x = np.geomspace(min(intensity) / 3, max(intensity) * 3, 200)
    top = ceilings["peak_float32"]
    for name, bandwidth, style, where in (
        ("cache", ceilings["triad_cache"], "--", "bottom"),
        ("memory", ceilings["triad_memory"], "-", "top"),
    ):
        ax.plot(x, np.minimum(bandwidth * x, top), style, color=_FAINT, linewidth=1.4)
        ax.text(
            np.sqrt(x[0] * top / bandwidth) * (1 if where == "bottom" else 2),
            np.sqrt(x[0] * top * bandwidth) * (1.1 if where == "bottom" else 1.7),
            f"{name}, {bandwidth:,.0f} GB/s",
            rotation=np.degrees(np.arctan(bandwidth)),  # along the line, whatever its scale
            rotation_mode="anchor",
            transform_rotates_text=True,
            ha="center",
            va=where,
            **_REMARK,
        )
    ax.axhline(ceilings["sgemm"], color=_FAINT, linewidth=1.0, linestyle=":")
    limits = f"multiply-adds, {top:,.0f} GFLOP/s\ndotted: best product, {ceilings['sgemm']:,.0f}"
    ax.text(1.1 * top / ceilings["triad_cache"], top * 1.08, limits, **_REMARK)
    shown = [case for case in cases if case["job"] in jobs]
    for case in shown:
        _point(ax, case)
    _number(ax, {jobs.index(c["job"]) + 1: c for c in shown if c["implementation"] != BASE})
    rates = [c["gflops"] for c in cases]
    highest = 3 * max(top, *rates)  # above the peak is who finds a way round some of the work
    ax.set(xscale="log", yscale="log", xlim=(x[0], x[-1]), ylim=(min(rates) / 2.5, highest))
    ax.set(xlabel="operations per byte that must move", ylabel="GFLOP/s")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    _frame(ax, "both")
    _list_jobs(key, cases, jobs)
    _sign(figure, document)
    return figure


def _place(case: Case) -> tuple[float, float]:
    """Return where a case stands in the roofline."""
    return case["flops"] / case["bytes"], case["gflops"]


def _point(ax: Axes, case: Case) -> None:
    """Draw one case: fastnn filled, numpy as an empty mark."""
    color = _color(case["implementation"])
    if case["implementation"] == BASE:
        ax.plot(*_place(case), "s", markersize=7, markerfacecolor="white", markeredgecolor=color)
    else:
        ax.plot(*_place(case), "o", markersize=8, color=color, zorder=3)


def _number(ax: Axes, cases: dict[int, Case]) -> None:
    """Write the numbers of cases above their marks, of marks that touch side by side."""
    groups: list[list[int]] = []
    for number, case in cases.items():
        for group in groups:
            apart = np.abs(np.log10(_place(case)) - np.log10(_place(cases[group[-1]])))
            if (apart < _TOUCHING).all():
                group.append(number)
                break
        else:
            groups.append([number])
    for group in groups:
        x, y = np.transpose([_place(cases[number]) for number in group])
        ax.annotate(
            "  ".join(map(str, group)),
            (np.exp(np.log(x).mean()), y.max()),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            weight="bold",
            color=_color(_KINDS[0]),
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _list_jobs(ax: Axes, cases: list[Case], jobs: list[str]) -> None:
    """Write beside the roofline what its numbers mean."""
    ax.axis("off")
    ax.plot([], [], "o", markersize=8, color=_color(_KINDS[0]), label=_KINDS[0])
    ax.plot(
        [],
        [],
        "s",
        markersize=7,
        markerfacecolor="white",
        markeredgecolor=_color(BASE),
        label=f"{BASE}, the same job",
    )
    ax.legend(loc="upper left", fontsize=9.5)
    for number, job in enumerate(jobs, 1):
        case = next(c for c in cases if c["job"] == job and c["implementation"] == _KINDS[0])
        text = f"{number:>2}  {case['title']}\n     {case['gflops']:,.0f} GFLOP/s"
        if case["share_of_peak"] >= 0.05:
            text += f", {case['share_of_peak']:.0%} of the peak"
        ax.text(
            0, 0.84 - 0.84 * (number - 1) / len(jobs), text, fontsize=8.5, va="top",
            transform=ax.transAxes,
        )  # fmt: skip


@rc_context(_STYLE)
def throughput(document: dict[str, Any]) -> Figure | None:
    """Draw images a second of clean and FGSM accuracy against batch size and threads."""
    most = document["ceilings"]["threads"]
    cases = [case for case in document["cases"] if case["job"] == "accuracy"]
    full = [c for c in cases if c["threads"] == most and c["n"] == c["asked"]]
    counts = {c["asked"] for c in cases if c["threads"] < most}
    few = [c for c in cases if c["asked"] in counts and c["n"] == c["asked"]]
    if len({c["asked"] for c in full}) < 2:
        return None
    panels = [(full, "asked", "images in the batch")]
    if few:
        panels.append((few, "threads", f"threads, {min(counts):,} images"))
    figure = Figure(figsize=(4.9 * len(panels), 3.9), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (shown, by, label) in zip(axes, panels, strict=True):
        for name in _in_order(c["implementation"] for c in shown):
            line = sorted((c for c in shown if c["implementation"] == name), key=lambda c: c[by])
            if len(line) > 1:
                values = [c["samples_per_second"] for c in line]
                marker = _MARKERS[_KINDS.index(name)] if name in _KINDS else "P"
                ax.plot(
                    [c[by] for c in line], values, marker=marker, color=_color(name), label=name
                )
        ax.set(xlabel=label)
        ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
        _frame(ax, "y")
    axes[0].set(xscale="log", yscale="log", ylabel="images a second, clean and FGSM")
    for axis in (axes[0].xaxis, axes[0].yaxis):
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}"))
    axes[0].yaxis.set_minor_formatter(
        FuncFormatter(lambda v, _: f"{v:,.0f}" if f"{v:.0e}"[0] in "25" else "")
    )
    if few:
        axes[1].set_xticks(sorted({c["threads"] for c in few}))
        axes[1].set(xlim=(0.7, most + 0.3), ylim=(0, None))
    axes[0].legend(fontsize=9.5)
    _sign(figure, document)
    return figure


def _main_cases(document: dict[str, Any]) -> list[Case]:
    """Return the cases at the run's threads, each job at its largest number of rows alone."""
    cases = [c for c in document["cases"] if c["threads"] == document["ceilings"]["threads"]]
    most: dict[str, int] = {}
    for case in cases:
        most[case["job"]] = max(case["asked"], most.get(case["job"], 0))
    return [case for case in cases if case["asked"] == most[case["job"]]]


def _in_order(names: Iterable[str]) -> list[str]:
    """Return the different names, fastnn first and numpy and the reference last."""
    found = list(dict.fromkeys(names))
    return [n for n in _KINDS if n in found] + [n for n in found if n not in _KINDS]


def _color(name: str) -> str:
    """Return the colour of an implementation, the same in every figure."""
    known = dict(zip(_KINDS, (_PALETTE[0], _PALETTE[5], _PALETTE[1], _PALETTE[3]), strict=True))
    return known.get(name, _PALETTE[4])


def _frame(ax: Axes, grid: str) -> None:
    """Leave two sides of the frame and a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, color="#E4E4E4", linewidth=0.8)  # type: ignore[arg-type]
    ax.set_axisbelow(True)


def _sign(figure: Figure, document: dict[str, Any]) -> None:
    """Write below a figure what it was measured on."""
    machine, threads = document["machine"], document["ceilings"]["threads"]
    parts = [
        f"{machine['processor']}, {threads} thread{'s' * (threads > 1)}",
        f"numpy {machine['numpy']} ({machine['blas']['kernels']} kernels)",
        f"numba {machine['numba']}",
        f"fastnn {machine['fastnn'] or ''} {machine['commit'] or ''}".strip(),
    ]
    figure.supxlabel(" · ".join(parts), fontsize=8, color="#777777", x=0.99, ha="right")
